// An Express app that a fix is pasted into (PASTE). Arguments, for each page:
// path, Host, X-Forwarded-Proto or "".
const express = require('express');
const http = require('node:http');

const app = express();
const hostGuard = (req, res, next) =>
  (req.hostname === 'example.com' ? next() : res.status(403).send('host not allowed'));

PASTE

app.get(['/', '/health'], (req, res) => res.send('page'));

const ask = (port, path, host, proto) => new Promise((resolve) => {
  const headers = proto ? {Host: host, 'X-Forwarded-Proto': proto} : {Host: host};
  http.get({host: '127.0.0.1', port, path, headers, agent: false}, (answer) => resolve(answer.statusCode));
});
const server = app.listen(0, '127.0.0.1', async () => {
  for (let i = 2; i < process.argv.length; i += 3) {
    console.log(await ask(server.address().port, ...process.argv.slice(i, i + 3)));
  }
  process.exit(0);
});
