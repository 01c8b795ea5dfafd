# One database with its server: a static program in an empty image, without a shell, as nobody in particular.
#
#   docker build -t tombolo .
#   docker run --rm -v tombolo:/data tombolo init
#   docker run --rm -v tombolo:/data tombolo token create operator --right admin
#   docker run -d --name tombolo -p 127.0.0.1:7474:7474 -v tombolo:/data tombolo
#
# Tokens go over the network, so a proxy in front must have TLS; or mount a certificate and give `--tls-cert`.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools
WORKDIR /source
COPY . .
RUN packaging/static dist /image/usr/bin && mkdir -p /image/data

FROM scratch
COPY --from=build --chown=65532:65532 /image /
USER 65532:65532
WORKDIR /data
VOLUME /data
# An empty image has no /tmp: what does not fit into memory lies beside the database for a while.
ENV TOMBOLO_DB=/data/tombolo.redb TMPDIR=/data
EXPOSE 7474
# Reads the file as a question does. Whether the server answers is told by GET /health.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/usr/bin/tombolo", "scopes", "-o", "json"]
ENTRYPOINT ["/usr/bin/tombolo"]
CMD ["serve", "--address", "0.0.0.0", "--behind-proxy"]
