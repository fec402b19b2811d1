// Usage: node bundle.mjs FOLDER dev|release
// Puts the stylesheet and the files of public/ into the site's folder, beside the browser's module. For a release, makes
// everything small and adds what servers send to browsers that take compressed files.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { browserslistToTargets, bundle } from 'lightningcss';
import { minify } from 'terser';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [folder, mode] = process.argv.slice(2);
const isRelease = mode === 'release';
const built = (name) => join(folder, 'pkg', `evergrant.${name}`);

const [, browsers] = /^browserquery = "(.*)"$/m.exec(readFileSync(here('../../Leptos.toml'), 'utf8'));
const targets = browserslistToTargets(browsers.replaceAll(' >=', '').split(', '));

cpSync(here('../../public'), folder, { recursive: true });
writeFileSync(built('css'), bundle({ filename: here('../../style/main.css'), minify: isRelease, targets }).code);

if (isRelease) {
  const script = await minify(readFileSync(built('js'), 'utf8'), { module: true });
  writeFileSync(built('js'), script.code);
  const features = ['--enable-bulk-memory', '--enable-nontrapping-float-to-int'];
  const optimizer = here('node_modules/.bin/wasm-opt');
  execFileSync(optimizer, ['-Oz', ...features, built('wasm'), '-o', built('wasm')], { stdio: 'inherit' });
  compress(folder);
}

function compress(within) {
  for (const name of readdirSync(within)) {
    const path = join(within, name);
    if (statSync(path).isDirectory()) compress(path);
    else {
      const bytes = readFileSync(path);
      const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
      writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: quality }));
      writeFileSync(`${path}.gz`, gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }));
    }
  }
}
