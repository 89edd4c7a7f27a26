// ipx as its own command serves a folder, on a free port of loopback: node ipx.mjs DIR CONCURRENCY. Says where, as JSON.

import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { createIPX, createIPXNodeServer, ipxFSStorage } from 'ipx';

// The sharp that ipx brings along, not ours.
const require = createRequire(import.meta.resolve('ipx'));
const sharp = require('sharp');
sharp.cache(false);
sharp.concurrency(Number(process.argv[3]));

const ipx = createIPX({ storage: ipxFSStorage({ dir: process.argv[2] }) });
const server = createServer(createIPXNodeServer(ipx));
server.listen(0, '127.0.0.1', () => {
  const { version: ipx_version } = require(`${import.meta.resolve('ipx').replace('file://', '').split('/dist/')[0]}/package.json`);
  console.log(JSON.stringify({ port: server.address().port, ipx: ipx_version, ...sharp.versions }));
});
