"""What flagtally and Redis take at most, as the manual says."""

MEGABYTE = 1024 * 1024


def process(threads, memory, parameters=128 * 1024):
    """Bytes of a process: MEMORY in flagtally(8)."""
    return (threads + 12) * memory + threads * (
        MEGABYTE + 3 * parameters) + 64 * MEGABYTE


def entry(text):
    """An entry of a hash or sorted set with so many bytes of text."""
    return 160 + text * 5 // 4


def redis(caps, days_hour, days_day, processes=1):
    """Bytes in Redis: MEMORY OF REDIS in flagtally.ini(5)."""
    name = 3 * caps["limit_name"]
    features, late = caps["limit_features"], caps["limit_out_of_range_buckets"]
    buckets = int(48 * days_hour + 2 * days_day) + 29 + late
    bucket = 1024 + entry(2 * name) + 2 * features * entry(name) + \
        caps["limit_variants"] * entry(2 * name)
    calls = int(24 * days_hour) + 224 + late + caps["limit_instances"] // 100
    application = buckets * bucket + 10 * features * entry(name) + \
        late * entry(0) + caps["limit_instances"] * (
            entry(name + caps["limit_registration"]) + entry(name)) + \
        4 * 1024 + 5 * entry(2 * name) + entry(3 * name) + processes * calls * entry(2 * name)
    if caps.get("feed"):
        application += (caps["feed"] + 100) * 1000 * (2 * name + 40)
    series = caps["limit_series"]
    environment = series * (
        2 * entry(5 * caps["limit_name"]) +     # The value, and when.
        2 * 1024 + 6 * entry(2 * name)) + \
        processes * series * entry(name)
    tokens = caps["limit_seen_tokens"] * (entry(64) + entry(64 + name))
    return caps["limit_environments"] * (
        caps["limit_apps"] * application + environment + tokens) + \
        16 * MEGABYTE
