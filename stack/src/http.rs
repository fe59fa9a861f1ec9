//! The HTTP client of the stack's own questions: plain, on loopback, with one deadline.

use std::time::Duration;

/// The service closes a connection that has idled for 5 s (actix-web's default), and a request must not cross that.
const IDLE: Duration = Duration::from_secs(3);

/// A client whose requests end after `deadline`, whatever the other side does.
pub fn client(deadline: Duration) -> anyhow::Result<reqwest::Client> {
    // Nothing here speaks TLS, but the client cannot be built without a provider. Another part may have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nor does it need the machine's certificates, which each client would read anew: at five stacks, most of a core.
    let client = reqwest::Client::builder().tls_certs_only([]).pool_idle_timeout(IDLE);
    Ok(client.timeout(deadline).redirect(reqwest::redirect::Policy::none()).no_proxy().build()?)
}
