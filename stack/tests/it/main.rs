//! The end-to-end tests, one module a subject.

// The chat player answers as Slack does, and fails as chats fail.
mod chat;
