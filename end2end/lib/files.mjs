// Runs several test files in one process: `node lib/files.mjs FILE…`.

for (const file of process.argv.slice(2)) await import(`../${file}`);
