<?php
/* Reads flagtally's counts: php tasks.php TASK ARGUMENT...
 *
 * It takes Debian's php-cli and php-redis, and REDIS_URL if Redis is not on this host:
 *     top ENV APP, stale ENV APP, rollout ENV APP FLAG, month ENV APP YYYY-MM,
 *     p95 ENV METRIC, below SDK VERSION
 */
$url = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1');
$redis = new Redis();
$redis->connect($url['host'], $url['port'] ?? 6379);
if (isset($url['pass']))
    $redis->auth(isset($url['user']) && $url['user'] !== '' ? [$url['user'], $url['pass']] : $url['pass']);

function key_of(...$names) {
    return 'flagtally:{' . implode(':', array_map('rawurlencode', $names)) . '}:';
}

function periods($count, $seconds, $form) {
    return array_map(fn($n) => gmdate($form, time() - $n * $seconds), range($count - 1, 0));
}

/* One round trip for all keys. */
function pipelined($command, $keys, ...$arguments) {
    global $redis;
    $pipe = $redis->pipeline();
    foreach ($keys as $key)
        $pipe->$command($key, ...$arguments);
    return $pipe->exec();
}

/* The ten flags that were evaluated most in seven days, by day. */
function top($environment, $application) {
    $days = periods(7, 86400, 'Y-m-d');
    $totals = [];
    foreach (pipelined('hGetAll', array_map(fn($day) => key_of($environment, $application) . $day, $days)) as $at => $bucket)
        foreach ($bucket as $field => $count) {
            [$flag, $counter] = explode(':', $field, 2);
            $totals["=$flag"] ??= array_fill(0, 7, 0);
            $totals["=$flag"][$at] += $counter === 'yes' || $counter === 'no' ? $count : 0;
        }
    uksort($totals, fn($a, $b) => array_sum($totals[$b]) <=> array_sum($totals[$a]) ?: strcmp($a, $b));
    echo "flag\t", implode("\t", $days), "\n";
    foreach (array_slice($totals, 0, 10) as $flag => $counts)
        echo rawurldecode(substr($flag, 1)), "\t", implode("\t", $counts), "\n";
}

/* The flags that were not evaluated for 30 days, and the day when they last were. */
function stale($environment, $application) {
    global $redis;
    $limit = time() - 30 * 86400;
    foreach ($redis->zRangeByScore(key_of($environment, $application) . 'seen', '-inf', "($limit", ['withscores' => true]) as $flag => $seen)
        echo rawurldecode($flag), "\t", gmdate('Y-m-d', (int)$seen), "\n";
}

/* The yes-share of a flag in each of 24 hours, in percent. */
function rollout($environment, $application, $flag) {
    $hours = periods(24, 3600, 'Y-m-d\TH');
    $fields = [rawurlencode($flag) . ':yes', rawurlencode($flag) . ':no'];
    $found = pipelined('hMGet', array_map(fn($hour) => key_of($environment, $application) . $hour, $hours), $fields);
    foreach ($found as $at => $counts) {
        [$yes, $no] = array_map('intval', array_values($counts));
        if ($yes + $no > 0)
            echo implode("\t", [$hours[$at], $yes, $no, intdiv(100 * $yes, $yes + $no)]), "\n";
    }
}

/* All counters of a month as CSV for a spreadsheet, in which no name becomes a formula. */
function month($environment, $application, $name) {
    $cell = fn($text) => '"' . (preg_match('/^[=+\-@\t\r]/', $text) ? "'" : '') . str_replace('"', '""', $text) . '"';
    $days = array_map(fn($day) => sprintf('%s-%02d', $name, $day), range(1, 31));
    echo "day,flag,counter,count\r\n";
    foreach (pipelined('hGetAll', array_map(fn($day) => key_of($environment, $application) . $day, $days)) as $at => $bucket) {
        ksort($bucket, SORT_STRING);
        foreach ($bucket as $field => $count) {
            [$flag, $counter] = array_map('rawurldecode', explode(':', $field, 2));
            echo $days[$at], ',', $cell($flag), ',', $cell($counter), ",$count\r\n";
        }
    }
}

/* The 95th percentile of a histogram over all its series, which have the same bounds. */
function p95($environment, $metric) {
    global $redis;
    $buckets = [];
    foreach ($redis->hGetAll(key_of($environment) . "impact:$metric") as $field => $count)
        if (preg_match('/^_bucket\{.*le="([^"]*)"\}$/', $field, $found))
            $buckets[$found[1]] = ($buckets[$found[1]] ?? 0) + $count;
    uksort($buckets, fn($a, $b) => ($a === '+Inf') <=> ($b === '+Inf') ?: (float)$a <=> (float)$b);
    [$rank, $below, $before] = [0.95 * max($buckets), 0, 0];
    foreach ($buckets as $bound => $count) {
        if ($count >= $rank)
            break;
        [$below, $before] = [(float)$bound, $count];
    }
    printf("%s\n", (float)sprintf('%.5e', $bound === '+Inf' ? $below : $below + ($bound - $below) * ($rank - $before) / ($count - $before)));
}

/* The instances that run a version of an SDK below this one: two round trips. */
function below($sdk, $version) {
    global $redis;
    $applications = $redis->zRange('flagtally:apps', 0, -1);
    foreach (pipelined('hGetAll', array_map(fn($name) => "flagtally:{{$name}}:instances", $applications)) as $at => $instances) {
        ksort($instances, SORT_STRING);
        foreach ($instances as $instance => $registration) {
            [$name, $runs] = explode(':', json_decode($registration)->sdkVersion ?? '') + ['', ''];
            if ($name === $sdk && version_compare($runs, $version, '<'))
                echo implode("\t", array_map('rawurldecode', [...explode(':', $applications[$at]), $instance])), "\t$runs\n";
        }
    }
}

$task = $argv[1] ?? '';
if (!in_array($task, ['top', 'stale', 'rollout', 'month', 'p95', 'below']))
    exit("usage: php tasks.php TASK ARGUMENT...\n");
$task(...array_slice($argv, 2));
