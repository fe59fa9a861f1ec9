//! The end-to-end tests, one module a subject.

// The chat player answers as Slack does, and fails as chats fail.
mod chat;
// Each drill passes on a fresh stack, within its target.
mod drills;
