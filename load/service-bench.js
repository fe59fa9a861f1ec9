// What the service can do, measured by as many clients at a time as CLIENTS says, each asking again at once:
// one scenario after the other, PHASE seconds each, then MINUTES of mixed load, RATE times a second, while memory is
// watched.
// Run by load/nightly.sh; prints one JSON object.
import http from "k6/http";
import { Trend } from "k6/metrics";
import { sleep } from "k6";

const { BASE_URL, BARE_URL, ADMIN_URL } = __ENV;
const CLIENTS = Number(__ENV.CLIENTS || 16);
const PHASE = Number(__ENV.PHASE || 20);
const MINUTES = Number(__ENV.MINUTES || 30);
const RATE = Number(__ENV.RATE || 500);
const JSON_BODY = { headers: { "content-type": "application/json" } };
const ORDER = JSON.stringify({ item: "coffee", quantity: 2, amount: 1998, currency: "EUR" });

const early = new Trend("memory_early");
const late = new Trend("memory_late");

// The first of each pair only makes both warm.
const PHASES = ["warm_bare", "warm_get", "get_bare", "get", "create", "list", "mixed"];
const scenarios = {};
PHASES.forEach((exec, number) => {
  scenarios[exec] = { executor: "constant-vus", exec, vus: CLIENTS, startTime: `${number * (PHASE + 1)}s`, duration: `${PHASE}s` };
});
const soak = PHASES.length * (PHASE + 1);
// A steady load below what is possible: k6 keeps every sample in memory, and a service at its limit is not what runs for days.
scenarios.soak = {
  executor: "constant-arrival-rate",
  exec: "mixed",
  rate: RATE,
  preAllocatedVUs: CLIENTS * 4,
  startTime: `${soak}s`,
  duration: `${MINUTES}m`,
};
scenarios.memory = { executor: "constant-vus", exec: "memory", vus: 1, startTime: `${soak}s`, duration: `${MINUTES}m` };

// A threshold that always holds makes k6 keep the figures of a scenario apart.
const thresholds = { http_req_failed: ["rate==0"] };
for (const name of [...PHASES, "soak"]) {
  thresholds[`http_req_duration{scenario:${name}}`] = ["p(99)>=0"];
  thresholds[`http_reqs{scenario:${name}}`] = ["count>=0"];
}
export const options = { scenarios, thresholds, summaryTrendStats: ["avg", "p(50)", "p(99)", "max"], discardResponseBodies: true };

export function setup() {
  const ids = [];
  for (let made = 0; made < 1000; made++) {
    ids.push(create().headers.Location.split("/").pop());
  }
  return { ids, began: Date.now() + soak * 1000 };
}

const any = (ids) => ids[Math.floor(Math.random() * ids.length)];
const read = (base) => ({ ids }) => http.get(`${base}/v1/orders/${any(ids)}`, { tags: { name: "order" } });

export const get = read(BASE_URL);
export const get_bare = read(BARE_URL);
export const warm_get = get;
export const warm_bare = get_bare;
export const create = () => http.post(`${BASE_URL}/v1/orders`, ORDER, JSON_BODY);
export const list = () => http.get(`${BASE_URL}/v1/orders?status=open&limit=20`);

// Half of the orders that are made go on: under a key, to the payments provider, or to their cancellation.
export function mixed(data) {
  const dice = Math.random();
  if (dice < 0.1) create();
  else if (dice < 0.14) createOnce();
  else if (dice < 0.17) step("payment");
  else if (dice < 0.2) step("cancellation");
  else if (dice < 0.8) get(data);
  else list();
}

function createOnce() {
  const key = `${__VU}-${__ITER}-${Date.now()}`;
  return http.post(`${BASE_URL}/v1/orders`, ORDER, { headers: { ...JSON_BODY.headers, "idempotency-key": key } });
}

function step(name) {
  http.post(`${BASE_URL}${create().headers.Location}/${name}`, null, { tags: { name } });
}

// Resident memory, of the second fifth of the soak and of the last.
export function memory({ began }) {
  const part = (Date.now() - began) / (MINUTES * 60000);
  const metrics = http.get(`${ADMIN_URL}/metrics`, { responseType: "text" }).body;
  const bytes = Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)[1]);
  if (part >= 0.2 && part < 0.4) early.add(bytes);
  if (part >= 0.8) late.add(bytes);
  sleep(1);
}

export function handleSummary({ metrics }) {
  const row = (name, seconds) => {
    const { "p(50)": p50, "p(99)": p99 } = metrics[`http_req_duration{scenario:${name}}`].values;
    const count = metrics[`http_reqs{scenario:${name}}`].values.count;
    return { requests_per_second: Math.round(count / seconds), p50_ms: round(p50), p99_ms: round(p99) };
  };
  const result = { date: __ENV.DATE, commit: __ENV.COMMIT, clients: CLIENTS, seconds_each: PHASE };
  Object.assign(result, { fsync: __ENV.FSYNC, traces: "not exported", lines: "through a pipe" });
  for (const name of ["get_bare", "get", "create", "list", "mixed"]) result[name] = row(name, PHASE);
  result.soak = { minutes: MINUTES, ...row("soak", MINUTES * 60) };
  result.soak.memory_early_mib = round(metrics.memory_early.values["p(50)"] / 1048576);
  result.soak.memory_late_mib = round(metrics.memory_late.values["p(50)"] / 1048576);
  result.soak.dropped = metrics.dropped_iterations ? metrics.dropped_iterations.values.count : 0;
  result.failed = metrics.http_req_failed.values.passes;
  return { stdout: `${JSON.stringify(result, null, 2)}\n` };
}

function round(value) {
  return Math.round(value * 100) / 100;
}
