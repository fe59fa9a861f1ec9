//! Writes `openapi.json` anew, after a change of the API.

fn main() -> std::io::Result<()> {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), service::openapi::document())
}
