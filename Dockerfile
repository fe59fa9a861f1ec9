# Both programs as static binaries, each in an image of its own with nothing else: no shell, no package, no root.
#   docker build --target service --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse --short HEAD) .
FROM rust:1.95-slim-bookworm AS builder
WORKDIR /src
# glibc, linked statically, for whatever machine this is. With a target named, the flags do not reach what cargo runs
# at build time: macros are shared libraries and cannot be static. Packed relocations, and one copy of functions that are
# the same, save a megabyte. Cargo forgets to strip a program that has a profile of its own.
RUN printf '[build]\ntarget = "%s"\nrustflags = [%s]\n' "$(rustc -vV | sed -n 's/^host: //p')" \
    '"-Ctarget-feature=+crt-static", "-Clink-args=-Wl,-z,pack-relative-relocs -Wl,--icf=all -Wl,--strip-all"' >"$CARGO_HOME/config.toml"
ENV SQLX_OFFLINE=true

# Dependencies: only manifests and empty programs, so that this layer outlives every change of sources. Both programs
# are always selected, because what is selected decides which features of the dependencies are built.
FROM builder AS dependencies
COPY Cargo.toml Cargo.lock ./
COPY observability/Cargo.toml observability/
COPY service/Cargo.toml service/
COPY alerts/relay/Cargo.toml alerts/relay/
COPY stack/Cargo.toml stack/
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked <<'sh'
set -eu
for package in observability service alerts/relay stack; do
    mkdir "$package/src"
    touch "$package/src/lib.rs"
    # A manifest that names a test is refused without it.
    for test in $(sed -n '/^\[\[test\]\]/,/^$/s/^name = "\(.*\)"$/\1/p' "$package/Cargo.toml"); do
        mkdir -p "$package/tests/$test"
        touch "$package/tests/$test/main.rs"
    done
done
for package in service alerts/relay stack; do
    echo 'fn main() {}' >"$package/src/main.rs"
done
cargo build --locked --release --package service --package relay
# What was built of the empty programs has to be forgotten: it is newer than the sources, and would be taken for theirs.
rm -r target/*/release/.fingerprint/observability-* target/*/release/.fingerprint/service-* target/*/release/.fingerprint/relay-*
sh

# What both use. VERSION labels the images, and must not say another thing than the programs.
FROM dependencies AS sources
ARG VERSION
RUN grep -q "^version = \"${VERSION:?give the version of Cargo.toml}\"$" Cargo.toml \
    || { echo "VERSION is $VERSION, but Cargo.toml says: $(grep -m 1 '^version = ' Cargo.toml)" >&2; exit 1; }
COPY observability observability

FROM sources AS service-build
COPY service service
ARG REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    REVISION=$REVISION cargo build --locked --release --package service --package relay --bin service \
    && cp target/*/release/service /service

FROM sources AS relay-build
COPY alerts/relay alerts/relay
COPY alerts/runbooks alerts/runbooks
ARG REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    REVISION=$REVISION cargo build --locked --release --package service --package relay --bin relay \
    && cp target/*/release/relay /relay

# Certificates are for chats, databases and third parties behind TLS.
FROM scratch AS base
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65534:65534
ARG VERSION
ARG REVISION=unknown
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM base AS relay
LABEL org.opencontainers.image.title="Lookout relay" \
      org.opencontainers.image.description="Carries alerts from Alertmanager to chat, and loses none"
COPY --from=relay-build /relay /relay
EXPOSE 8090 8091
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/relay", "health"]
ENTRYPOINT ["/relay"]

FROM base AS service
LABEL org.opencontainers.image.title="Lookout service" \
      org.opencontainers.image.description="The example service: orders on Postgres"
COPY --from=service-build /service /service
EXPOSE 8080 9091
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/service", "health"]
ENTRYPOINT ["/service"]
