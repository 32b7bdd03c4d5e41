// A backend with Unleash's SDK for Node.  It evaluates its flags as often as
// each line of its standard input says, and answers with a line when it has; at
// the end of the input it sends the rest and ends.
'use strict';

const readline = require('node:readline');
const { initialize } = require('unleash-client');

const unleash = initialize({
  url: process.env.UNLEASH_URL,
  appName: process.env.UNLEASH_APP,
  instanceId: 'i',
  customHeaders: { Authorization: process.env.UNLEASH_TOKEN },
  refreshInterval: 3600 * 1000,
  backupPath: process.cwd(),
  metricsInterval: Number(process.env.UNLEASH_INTERVAL_MS),
});
unleash.on('error', (error) => console.error(String(error)));
unleash.on('warn', (...words) => console.error(words.join(' ')));

const metrics = unleash.impactMetrics;
metrics.defineCounter('purchases', 'Purchases');
metrics.defineGauge('depth', 'Jobs that wait');
metrics.defineHistogram('latency', 'Seconds', [0.1, 1]);

function evaluate(times) {
  for (let i = 0; i < times; i++) {
    unleash.isEnabled('on');
    unleash.isEnabled('off');
    unleash.getVariant('painted');
    metrics.incrementCounter('purchases', 2);
    metrics.observeHistogram('latency', 0.5);
  }
  metrics.updateGauge('depth', times);
}

// Many flags, each with a variant.
function spread(flags) {
  for (let i = 0; i < flags; i++) {
    unleash.getVariant(`a-flag-of-a-usual-length-${i}`);
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [what, number] = line.split(' ');
  (what === 'spread' ? spread : evaluate)(Number(number));
  console.log('done');
});
lines.on('close', async () => {
  await unleash.destroyWithFlush();
  process.exit(0);
});
unleash.once('synchronized', () => console.log('ready'));
