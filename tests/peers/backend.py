"""A backend with Unleash's SDK for Python; it does what backend.js does."""

import os
import sys

from UnleashClient import UnleashClient

unleash = UnleashClient(
    url=os.environ["UNLEASH_URL"], app_name=os.environ["UNLEASH_APP"],
    instance_id="i", disable_registration=False,
    custom_headers={"Authorization": os.environ["UNLEASH_TOKEN"]},
    refresh_interval=3600, metrics_interval=1, cache_directory=os.getcwd())
unleash.initialize_client()
metrics = unleash.impact_metrics
metrics.define_counter("purchases", "Purchases")
metrics.define_gauge("depth", "Jobs that wait")
metrics.define_histogram("latency", "Seconds", [0.1, 1])
print("ready", flush=True)
for line in sys.stdin:
    times = int(line.split()[1])
    for _ in range(times):
        unleash.is_enabled("on")
        unleash.is_enabled("off")
        unleash.get_variant("painted")
        metrics.increment_counter("purchases", 2)
        metrics.observe_histogram("latency", 0.5)
    metrics.update_gauge("depth", times)
    print("done", flush=True)
unleash.destroy()
