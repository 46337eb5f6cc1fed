/*
 * Writes FILE.br and FILE.gz beside each file of a folder that gets smaller so.
 *
 *	node tools/compress-pages.cjs FOLDER
 *
 * The same input gives the same bytes. Runs on the zlib and brotli of Node.js itself.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');

/* The file has to shrink by a tenth, or the client's work is not worth it. */
const WORTH = 0.9;

const forms = {
	'.br': (bytes) =>
		zlib.brotliCompressSync(bytes, {
			params: {
				[zlib.constants.BROTLI_PARAM_QUALITY]: 11,
				[zlib.constants.BROTLI_PARAM_LGWIN]: 24,
				[zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
			},
		}),
	/* Without a name and a time in its head. */
	'.gz': (bytes) => zlib.gzipSync(bytes, { level: 9, memLevel: 9 }),
};

function filesOf(folder) {
	return fs
		.readdirSync(folder, { withFileTypes: true })
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) => {
			const full = path.join(folder, entry.name);
			return entry.isDirectory() ? filesOf(full) : [full];
		});
}

for (const file of filesOf(process.argv[2])) {
	if (path.basename(file).startsWith('.') || path.extname(file) in forms)
		continue;
	const bytes = fs.readFileSync(file);
	for (const [extension, compress] of Object.entries(forms)) {
		const smaller = compress(bytes);
		if (smaller.length < bytes.length * WORTH)
			fs.writeFileSync(file + extension, smaller);
	}
}
