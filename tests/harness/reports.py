"""Bodies whose counts reports are made of."""

import datetime

NOW = datetime.datetime.now(datetime.timezone.utc)


def metric(feature, app="shop", env="production", days=0, hours=0, yes=1,
           no=0, variants=None):
    when = NOW - datetime.timedelta(days=days, hours=hours)
    return {"featureName": feature, "appName": app, "environment": env,
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "yes": yes,
            "no": no, "variants": variants or {}}


def registration(instance, version=None, app="shop", env="production"):
    found = {"appName": app, "environment": env, "instanceId": instance,
             "interval": 60, "strategies": [],
             "started": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**found, "sdkVersion": version} if version else found


def day(days=0):
    return (NOW - datetime.timedelta(days=days)).strftime("%Y-%m-%d")


def hour(hours=0):
    return (NOW - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H")
