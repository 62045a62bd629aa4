# Portico in a container: docker build -t portico . && docker run -p 8080:8080 -v ./public:/srv/www:ro portico
# docs/deployment.md says more.

FROM node:26-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
# What is needed at run time, as locked; the image has a Node of its own.
RUN node packaging/build.ts && npm prune --omit=dev && rm -r node_modules/node-linux-* && mv node_modules build/portico/

FROM node:26-bookworm-slim
COPY --from=build /src/build/portico /opt/portico
COPY packaging/container /etc/portico
RUN ln -s /opt/portico/bin/portico.mjs /usr/local/bin/portico \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin portico \
 && install -d -o portico -g portico /run/portico /var/log/portico \
 && install -d /srv/www
# Pid file, control socket, compiled code.
ENV RUNTIME_DIRECTORY=/run/portico
# A number, so that a cluster that wants no root can tell. No process here is root: the ports are above 1024.
USER 10001:10001
EXPOSE 8080
# The supervisor is process 1: it takes signals itself and reaps whatever CGI programs leave.
ENTRYPOINT ["node", "--disable-sigusr1", "/opt/portico/bin/portico.mjs"]
CMD ["run"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
