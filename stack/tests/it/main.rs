//! The end-to-end tests, one module a subject.

// The chat player answers as Slack does, and fails as chats fail.
mod chat;
// Rules, tests, routes, runbooks and code name the same things.
mod contract;
// Each drill passes on a fresh stack, within its target.
mod drills;
