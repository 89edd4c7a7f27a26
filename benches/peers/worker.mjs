// sharp as a long-living worker: a line of JSON in, a line of JSON out, so that no start of a process counts.
//
// A task is one source file and the outputs that are wanted of it: {file, outputs: [{width, height, fastShrinkOnLoad,
// sharpen?, format, options}]}. `run` goes over all tasks, so many times, with so many in flight; `save` writes what it
// makes of each.

import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import sharp from 'sharp';

// Nothing of one rendition may help the next.
sharp.cache(false);

function output(source, { width, height, fastShrinkOnLoad, sharpen, format, options }) {
  let pipeline = source.resize(width, height, { fit: 'fill', fastShrinkOnLoad });
  if (sharpen) pipeline = pipeline.sharpen(sharpen);
  return pipeline.toFormat(format, options).toBuffer();
}

function render({ file, outputs }) {
  // Upright by EXIF, as calotype's are.
  const source = sharp(file, { autoOrient: true });
  return Promise.all(outputs.map((wanted) => output(outputs.length > 1 ? source.clone() : source, wanted)));
}

async function run({ tasks, passes, in_flight, concurrency }) {
  sharp.concurrency(concurrency);
  const times_ms = [];
  let next = 0;
  let bytes = 0;
  const lane = async () => {
    while (next < passes * tasks.length) {
      const task = tasks[next++ % tasks.length];
      const start = performance.now();
      for (const made of await render(task)) bytes += made.length;
      times_ms.push(performance.now() - start);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: in_flight }, lane));
  return { seconds: (performance.now() - start) / 1000, times_ms, bytes };
}

async function save({ tasks, folder }) {
  for (const [i, task] of tasks.entries()) {
    for (const [j, made] of (await render(task)).entries()) await writeFile(`${folder}/${i}-${j}`, made);
  }
  return {};
}

const verbs = { run, save, versions: async () => ({ node: process.version, ...sharp.versions }) };

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    const request = JSON.parse(line);
    reply = await verbs[request.verb](request);
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
