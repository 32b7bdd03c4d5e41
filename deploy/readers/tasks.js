/* Reads flagtally's counts: node tasks.js TASK ARGUMENT...
 *
 * It takes redis of npm, or Debian's node-redis, and REDIS_URL if Redis is not on this host:
 *     top ENV APP, stale ENV APP, rollout ENV APP FLAG, month ENV APP YYYY-MM,
 *     p95 ENV METRIC, below SDK VERSION
 * Commands that are issued together travel together: one round trip.
 */
const redis = require('redis').createClient({url: process.env.REDIS_URL || 'redis://127.0.0.1'});

const encode = name => encodeURIComponent(name).replace(/[!'()*]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase());
const key = (...names) => `flagtally:{${names.map(encode).join(':')}}:`;
const decode = decodeURIComponent;
const split = field => [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1)];
const periods = (count, seconds, length) => Array.from({length: count}, (_, n) =>
	new Date(Date.now() - (count - 1 - n) * seconds * 1000).toISOString().slice(0, length));
const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;

/* The ten flags that were evaluated most in seven days, by day. */
async function top(environment, application) {
	const days = periods(7, 86400, 10), totals = new Map();
	const buckets = await Promise.all(days.map(day => redis.hGetAll(key(environment, application) + day)));
	buckets.forEach((bucket, at) => Object.entries(bucket).forEach(([field, count]) => {
		const [flag, counter] = split(field);
		if (counter !== 'yes' && counter !== 'no') return;
		if (!totals.has(flag)) totals.set(flag, Array(7).fill(0));
		totals.get(flag)[at] += Number(count);
	}));
	const sum = counts => counts.reduce((a, b) => a + b);
	const rows = [...totals].sort(([a, x], [b, y]) => sum(y) - sum(x) || compare(a, b)).slice(0, 10);
	console.log(['flag', ...days].join('\t'));
	rows.forEach(([flag, counts]) => console.log([decode(flag), ...counts].join('\t')));
}

/* The flags that were not evaluated for 30 days, and the day when they last were. */
async function stale(environment, application) {
	const limit = Math.floor(Date.now() / 1000) - 30 * 86400;
	const found = await redis.zRangeWithScores(key(environment, application) + 'seen', '-inf', `(${limit}`, {BY: 'SCORE'});
	for (const {value, score} of found)
		console.log(decode(value) + '\t' + new Date(score * 1000).toISOString().slice(0, 10));
}

/* The yes-share of a flag in each of 24 hours, in percent. */
async function rollout(environment, application, flag) {
	const hours = periods(24, 3600, 13), fields = [encode(flag) + ':yes', encode(flag) + ':no'];
	const found = await Promise.all(hours.map(hour => redis.hmGet(key(environment, application) + hour, fields)));
	found.forEach((counts, at) => {
		const [yes, no] = counts.map(Number);
		if (yes + no > 0)
			console.log([hours[at], yes, no, Math.floor(100 * yes / (yes + no))].join('\t'));
	});
}

/* All counters of a month as CSV for a spreadsheet, in which no name becomes a formula. */
async function month(environment, application, name) {
	const cell = text => '"' + (/^[=+\-@\t\r]/.test(text) ? "'" : '') + text.replace(/"/g, '""') + '"';
	const days = Array.from({length: 31}, (_, n) => `${name}-${String(n + 1).padStart(2, '0')}`);
	const buckets = await Promise.all(days.map(day => redis.hGetAll(key(environment, application) + day)));
	process.stdout.write('day,flag,counter,count\r\n');
	buckets.forEach((bucket, at) => Object.keys(bucket).sort().forEach(field => {
		const [flag, counter] = split(field).map(decode);
		process.stdout.write([days[at], cell(flag), cell(counter), bucket[field]].join(',') + '\r\n');
	}));
}

/* The 95th percentile of a histogram over all its series, which have the same bounds. */
async function p95(environment, metric) {
	const buckets = new Map();
	for (const [field, count] of Object.entries(await redis.hGetAll(key(environment) + 'impact:' + metric))) {
		const found = /^_bucket\{.*le="([^"]*)"\}$/.exec(field);
		const bound = found && (found[1] === '+Inf' ? Infinity : Number(found[1]));
		if (found) buckets.set(bound, (buckets.get(bound) || 0) + Number(count));
	}
	const sorted = [...buckets].sort(([a], [b]) => a - b), rank = 0.95 * sorted[sorted.length - 1][1];
	const at = sorted.findIndex(([, count]) => count >= rank), [bound, count] = sorted[at];
	const [below, before] = at > 0 ? sorted[at - 1] : [0, 0];
	const value = bound === Infinity ? below : below + (bound - below) * (rank - before) / (count - before);
	console.log(String(Number(value.toPrecision(6))));
}

/* The instances that run a version of an SDK below this one: two round trips. */
async function below(sdk, version) {
	const number = text => (text.match(/\d+/g) || []).slice(0, 3).reduce((sum, part, at) => sum + part * 1e5 ** (2 - at), 0);
	const applications = await redis.zRange('flagtally:apps', 0, -1);
	const found = await Promise.all(applications.map(name => redis.hGetAll(`flagtally:{${name}}:instances`)));
	found.forEach((instances, at) => Object.keys(instances).sort().forEach(instance => {
		const [name, runs] = split(JSON.parse(instances[instance]).sdkVersion || ':');
		if (name === sdk && number(runs) < number(version))
			console.log([...applications[at].split(':'), instance].map(decode).join('\t') + '\t' + runs);
	}));
}

async function main(task, ...rest) {
	const tasks = {top, stale, rollout, month, p95, below};
	if (!tasks[task]) throw new Error('usage: node tasks.js TASK ARGUMENT...');
	await redis.connect();
	await tasks[task](...rest);
	await redis.quit();
}

main(...process.argv.slice(2)).catch(error => { console.error(error.message); process.exit(1); });
