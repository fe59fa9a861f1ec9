// Requests as customers send them: mostly reads, some new orders, of which half are paid and half cancelled.
//   light (the default)   LOAD_RPS requests a second without an end, so that every page has something to show; 0 idles
//   stress                up to STRESS_RPS within two minutes, half a minute there, and down again
// k6 run -e BASE_URL=http://127.0.0.1:8080 -e PROFILE=stress load/orders.js
import exec from "k6/execution";
import http from "k6/http";
import { sleep } from "k6";

const BASE = __ENV.BASE_URL || "http://127.0.0.1:8080";
const RPS = number("LOAD_RPS", 5);
const STRESS_RPS = number("STRESS_RPS", 500);
const PROFILE = __ENV.PROFILE || "light";

const ARRIVALS = { exec: "request", timeUnit: "1m", preAllocatedVUs: 5, maxVUs: 50, gracefulStop: "5s" };
const SCENARIOS = {
  light: RPS > 0
    ? { ...ARRIVALS, executor: "constant-arrival-rate", rate: Math.max(1, Math.round(RPS * 60)), duration: "8760h" }
    : { exec: "idle", executor: "constant-vus", vus: 1, duration: "8760h", gracefulStop: "0s" },
  stress: {
    ...ARRIVALS,
    executor: "ramping-arrival-rate",
    preAllocatedVUs: 100,
    maxVUs: 1000,
    stages: [
      { target: STRESS_RPS * 60, duration: "2m" },
      { target: STRESS_RPS * 60, duration: "30s" },
      { target: 0, duration: "10s" },
    ],
  },
};
if (!(PROFILE in SCENARIOS)) {
  throw new Error(`PROFILE is ${PROFILE}: choose ${Object.keys(SCENARIOS).join(" or ")}`);
}
export const options = { scenarios: { [PROFILE]: SCENARIOS[PROFILE] }, userAgent: "lookout-load" };

// Orders that this virtual user has made, newest last.
const orders = [];
const KEPT = 20;

export function request() {
  const dice = Math.random();
  if (orders.length === 0 || dice < 0.1) create();
  else if (dice < 0.7) http.get(`${BASE}/v1/orders/${any()}`, named("GET /v1/orders/{id}"));
  else if (dice < 0.9) http.get(`${BASE}/v1/orders?status=open&limit=10`, named("GET /v1/orders"));
  else if (dice < 0.95) http.post(`${BASE}/v1/orders/${orders.shift()}/payment`, null, named("POST /v1/orders/{id}/payment"));
  else http.post(`${BASE}/v1/orders/${orders.shift()}/cancellation`, null, named("POST /v1/orders/{id}/cancellation"));
}

export function idle() {
  sleep(60);
}

function create() {
  const quantity = 1 + Math.floor(Math.random() * 5);
  const order = { item: `part ${exec.scenario.iterationInTest % 100}`, quantity, amount: quantity * 1999, currency: "EUR" };
  const options = named("POST /v1/orders");
  const answer = http.post(`${BASE}/v1/orders`, JSON.stringify(order), { ...options, headers: { "content-type": "application/json" } });
  if (answer.status !== 201) return;
  orders.push(answer.json("id"));
  if (orders.length > KEPT) orders.shift();
}

function any() {
  return orders[Math.floor(Math.random() * orders.length)];
}

// One name for all ids: k6 would count each address apart.
function named(name) {
  return { tags: { name }, timeout: "10s" };
}

function number(name, otherwise) {
  const text = __ENV[name] || "";
  const value = text === "" ? otherwise : Number(text);
  if (!(value >= 0)) throw new Error(`${name} is ${text}: give a number of requests a second`);
  return value;
}
