//! The service from outside: over HTTP, on a real Postgres, and as a process.

mod admin; // probes, metrics and what can be changed at run time
mod configuration; // every variable: default, good, bad, contradictory
mod orders; // what each endpoint does
mod outage; // a database that is killed, frozen, not there
mod problems; // every way to provoke an error, and its answer
mod process; // start and stop of the real program
mod support; // what the tests stand on
mod telemetry; // line, span and metric of one request agree
