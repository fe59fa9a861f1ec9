//! Every drill there is, in the order in which the documentation lists failure types.

use super::{
    alert_pipeline, clock, crash, db_down, db_pool, db_readonly, db_slow, dependency, errors, latency, memory, panic,
    pg_capacity, pg_locks, runner::Fault, saturation, service_down, telemetry, traffic,
};

pub(super) const ALL: &[Fault] = &[
    db_down::DOWN,
    db_down::FROZEN,
    db_down::LOGINS_REFUSED,
    db_readonly::READONLY,
    db_pool::POOL,
    db_slow::SLOW,
    pg_capacity::CONNECTIONS,
    pg_locks::DEADLOCKS,
    pg_locks::LONG_TRANSACTION,
    service_down::DOWN,
    crash::LOOP,
    crash::RESTART,
    errors::ERRORS,
    latency::LATENCY,
    panic::PANIC,
    saturation::SATURATION,
    traffic::TRAFFIC,
    memory::MEMORY,
    clock::CLOCK,
    dependency::TIMEOUTS,
    dependency::BREAKER,
    telemetry::COLLECTOR_DOWN,
    telemetry::LOKI_DOWN,
    telemetry::JAEGER_DOWN,
    telemetry::EXPORTER_DOWN,
    alert_pipeline::RELAY_DOWN,
    alert_pipeline::ALERTMANAGER_DOWN,
    alert_pipeline::PROMETHEUS_DOWN,
    alert_pipeline::HEARTBEAT_LOST,
];
