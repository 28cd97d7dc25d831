import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vite'

// digest is of all that the built files are made of; a Go test computes it again.
function digest() {
  const files = ['index.html', 'package.json', 'package-lock.json', 'tsconfig.json', 'vite.config.ts']
  for (const e of readdirSync('src', { recursive: true, withFileTypes: true }))
    if (e.isFile()) files.push(join(e.parentPath, e.name))
  const all = createHash('sha256')
  for (const f of files.sort()) all.update(`${f} ${createHash('sha256').update(readFileSync(f)).digest('hex')}\n`)
  return all.digest('hex')
}

// The built files are what the server embeds. Nothing is inlined into them: the
// page's Content-Security-Policy allows files of the server's own alone.
export default defineConfig({
  base: '/',
  plugins: [
    {
      name: 'sources',
      writeBundle: ({ dir }) => writeFileSync(join(dir!, 'sources'), `${digest()}\n`),
    },
  ],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: ['chrome123', 'firefox128', 'safari17.5'],
    reportCompressedSize: false,
  },
})
