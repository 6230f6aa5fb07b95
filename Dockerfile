# Two stages: the first has pip and the build backend, the second only what serves. Nothing in it runs as root, and it
# holds no Postgres: without CONSENT_PROXY_DATABASE_URL it says so and ends.

FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/consent-proxy
COPY requirements-image.lock ./
RUN pip --python /opt/consent-proxy/bin/python install --no-cache-dir --require-hashes \
    --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations/ migrations/
COPY src/ src/
RUN pip --python /opt/consent-proxy/bin/python install --no-cache-dir --no-index --no-deps --no-build-isolation .

FROM python:3.13-slim
COPY --from=build /opt/consent-proxy /opt/consent-proxy
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/consent-proxy --create-home consent-proxy
ENV PATH="/opt/consent-proxy/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    CONSENT_PROXY_LOG_FORMAT=json \
    CONSENT_PROXY_DATA_DIR=/var/lib/consent-proxy
USER 10001:10001
WORKDIR /var/lib/consent-proxy
VOLUME /var/lib/consent-proxy
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["consent-proxy"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
