// Reads flagtally's counts: go run tasks.go TASK ARGUMENT...
//
// It takes github.com/gomodule/redigo, or Debian's golang-github-gomodule-redigo-dev,
// and REDIS_URL if Redis is not on this host:
//
//	top ENV APP, stale ENV APP, rollout ENV APP FLAG, month ENV APP YYYY-MM,
//	p95 ENV METRIC, below SDK VERSION
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

var server redis.Conn

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func encode(name string) string {
	return strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

func decode(text string) string {
	name, err := url.PathUnescape(text)
	check(err)
	return name
}

func key(names ...string) string {
	for i, name := range names {
		names[i] = encode(name)
	}
	return "flagtally:{" + strings.Join(names, ":") + "}:"
}

func periods(count int, step time.Duration, form string) (found []string) {
	for n := count - 1; n >= 0; n-- {
		found = append(found, time.Now().UTC().Add(-time.Duration(n)*step).Format(form))
	}
	return found
}

// pipelined takes one round trip for all keys.
func pipelined(command, before string, keys []string, after string, arguments ...interface{}) (replies []interface{}) {
	for _, one := range keys {
		check(server.Send(command, append([]interface{}{before + one + after}, arguments...)...))
	}
	check(server.Flush())
	for range keys {
		reply, err := server.Receive()
		check(err)
		replies = append(replies, reply)
	}
	return replies
}

func sorted(bucket map[string]string) (fields []string) {
	for field := range bucket {
		fields = append(fields, field)
	}
	sort.Strings(fields)
	return fields
}

// The ten flags that were evaluated most in seven days, by day.
func top(environment, application string) {
	days, rows, sums := periods(7, 24*time.Hour, "2006-01-02"), map[string]string{}, map[string]int64{}
	for at, reply := range pipelined("HGETALL", key(environment, application), days, "") {
		bucket, _ := redis.Int64Map(reply, nil)
		for field := range bucket {
			flag := strings.SplitN(field, ":", 2)[0]
			count := bucket[flag+":yes"] + bucket[flag+":no"]
			if missing := at - strings.Count(rows[flag], "\t"); count > 0 && missing >= 0 {
				rows[flag] += strings.Repeat("\t0", missing) + fmt.Sprint("\t", count)
				sums[flag] += count
			}
		}
	}
	print10(days, rows, sums)
}

func print10(days []string, rows map[string]string, sums map[string]int64) {
	flags := sorted(rows)
	sort.SliceStable(flags, func(i, j int) bool { return sums[flags[i]] > sums[flags[j]] })
	fmt.Println("flag\t" + strings.Join(days, "\t"))
	for i := 0; i < len(flags) && i < 10; i++ {
		missing := len(days) - strings.Count(rows[flags[i]], "\t")
		fmt.Println(decode(flags[i]) + rows[flags[i]] + strings.Repeat("\t0", missing))
	}
}

// The flags that were not evaluated for 30 days, and the day when they last were.
func stale(environment, application string) {
	limit := time.Now().Add(-30 * 24 * time.Hour).Unix()
	found, err := redis.Strings(server.Do("ZRANGEBYSCORE", key(environment, application)+"seen", "-inf", fmt.Sprint("(", limit), "WITHSCORES"))
	check(err)
	for i := 0; i < len(found); i += 2 {
		seen, _ := strconv.ParseInt(found[i+1], 10, 64)
		fmt.Println(decode(found[i]) + "\t" + time.Unix(seen, 0).UTC().Format("2006-01-02"))
	}
}

// The yes-share of a flag in each of 24 hours, in percent.
func rollout(environment, application, flag string) {
	hours := periods(24, time.Hour, "2006-01-02T15")
	for at, reply := range pipelined("HMGET", key(environment, application), hours, "", encode(flag)+":yes", encode(flag)+":no") {
		counts, err := redis.Int64s(reply, nil)
		check(err)
		if total := counts[0] + counts[1]; total > 0 {
			fmt.Printf("%s\t%d\t%d\t%d\n", hours[at], counts[0], counts[1], 100*counts[0]/total)
		}
	}
}

// All counters of a month as CSV for a spreadsheet, in which no name becomes a formula.
func month(environment, application, name string) {
	formula := regexp.MustCompile("^[=+@\t\r-]")
	cell := func(text string) string {
		return `"` + formula.ReplaceAllString(strings.ReplaceAll(decode(text), `"`, `""`), "'$0") + `"`
	}
	fmt.Print("day,flag,counter,count\r\n")
	for day := 1; day <= 31; day++ {
		check(server.Send("HGETALL", fmt.Sprintf("%s%s-%02d", key(environment, application), name, day)))
	}
	printMonth(name, cell)
}

func printMonth(name string, cell func(string) string) {
	check(server.Flush())
	for day := 1; day <= 31; day++ {
		bucket, err := redis.StringMap(server.Receive())
		check(err)
		for _, field := range sorted(bucket) {
			parts := strings.SplitN(field, ":", 2)
			fmt.Printf("%s-%02d,%s,%s,%s\r\n", name, day, cell(parts[0]), cell(parts[1]), bucket[field])
		}
	}
}

// The 95th percentile of a histogram over all its series, which have the same bounds.
func p95(environment, metric string) {
	fields, err := redis.StringMap(server.Do("HGETALL", key(environment)+"impact:"+metric))
	check(err)
	bucket, counts, bounds := regexp.MustCompile(`^_bucket\{.*le="([^"]*)"\}$`), map[float64]float64{}, []float64{}
	for field, text := range fields {
		if found := bucket.FindStringSubmatch(field); found != nil {
			bound, _ := strconv.ParseFloat(found[1], 64)
			count, _ := strconv.ParseFloat(text, 64)
			if counts[bound] += count; counts[bound] == count {
				bounds = append(bounds, bound)
			}
		}
	}
	fmt.Printf("%.6g\n", quantile(0.95, bounds, counts))
}

func quantile(share float64, bounds []float64, counts map[float64]float64) (below float64) {
	sort.Float64s(bounds)
	rank, before := share*counts[math.Inf(1)], 0.0
	for _, bound := range bounds {
		if counts[bound] >= rank && !math.IsInf(bound, 1) {
			return below + (bound-below)*(rank-before)/(counts[bound]-before)
		} else if !math.IsInf(bound, 1) {
			below, before = bound, counts[bound]
		}
	}
	return below
}

// The instances that run a version of an SDK below this one: two round trips.
func below(sdk, version string) {
	applications, err := redis.Strings(server.Do("ZRANGE", "flagtally:apps", 0, -1))
	check(err)
	for at, reply := range pipelined("HGETALL", "flagtally:{", applications, "}:instances") {
		instances, _ := redis.StringMap(reply, nil)
		for _, instance := range sorted(instances) {
			var registration struct{ SdkVersion string }
			check(json.Unmarshal([]byte(instances[instance]), &registration))
			if runs := strings.TrimPrefix(registration.SdkVersion, sdk+":"); runs != registration.SdkVersion && number(runs) < number(version) {
				fmt.Println(decode(strings.Replace(applications[at], ":", "\t", 1)) + "\t" + decode(instance) + "\t" + runs)
			}
		}
	}
}

func number(version string) (sum int) {
	for i, parts := 0, regexp.MustCompile(`\d+`).FindAllString(version, -1); i < 3; i++ {
		sum *= 100000
		if i < len(parts) {
			part, _ := strconv.Atoi(parts[i])
			sum += part
		}
	}
	return sum
}

func main() {
	log.SetFlags(0)
	address := os.Getenv("REDIS_URL")
	if address == "" {
		address = "redis://127.0.0.1"
	}
	var err error
	server, err = redis.DialURL(address)
	check(err)
	a := append(os.Args[1:], "", "", "", "")
	tasks := map[string]func(){
		"top": func() { top(a[1], a[2]) }, "stale": func() { stale(a[1], a[2]) },
		"rollout": func() { rollout(a[1], a[2], a[3]) }, "month": func() { month(a[1], a[2], a[3]) },
		"p95": func() { p95(a[1], a[2]) }, "below": func() { below(a[1], a[2]) },
	}
	if tasks[a[0]] == nil {
		log.Fatal("usage: go run tasks.go TASK ARGUMENT...")
	}
	tasks[a[0]]()
}
