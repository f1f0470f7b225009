// An Express application; each site of the corpus has its own site.js, which
// sees the application before its routes.
const express = require('express');

const app = express();
require('./site')(app, express);

app.get('/', (req, res) => res.send('<h1>Shop</h1>'));
app.get('/health', (req, res) => res.send('ok'));
app.get('/broken', (req, res) => { throw new Error('no such discount'); });

const server = app.listen(process.env.PORT, process.env.HOST);
server.keepAliveTimeout = 65000;
server.headersTimeout = 66000;
