// Builds the pages of StartTunnel into web/dist: one HTML file and content-hashed assets.

import { fileURLToPath } from 'node:url'

import { convertCssVariables, defaultCssVariablesResolver, mergeMantineTheme, DEFAULT_THEME } from '@mantine/core'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'
import type { Plugin } from 'vite'

import { theme } from '../shared/src/theme'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * The theme's CSS variables as a style sheet. Mantine would otherwise write them into a <style>
 * element at run time, which the pages' content security policy (style-src 'self') refuses.
 */
function themeVariables(): Plugin {
	const id = 'virtual:theme-variables.css'
	return {
		name: 'theme-variables',
		resolveId: (source) => (source === id ? `\0${id}` : undefined),
		load: (source) =>
			source === `\0${id}`
				? convertCssVariables(defaultCssVariablesResolver(mergeMantineTheme(DEFAULT_THEME, theme)), ':root')
				: undefined,
	}
}

/** Has boot.ts run as soon as it is there; by itself it would wait for all that the page consists of. */
function bootFirst(): Plugin {
	return {
		name: 'boot-first',
		apply: 'build',
		transformIndexHtml: {
			order: 'post',
			handler: (_html, { bundle }) => {
				const boot = Object.values(bundle ?? {}).find((file) => file.type === 'chunk' && file.isEntry && file.name === 'boot')
				if (!boot) throw new Error('there is no chunk of boot.ts')
				return [{ tag: 'script', attrs: { type: 'module', async: true, crossorigin: true, src: `/${boot.fileName}` }, injectTo: 'head-prepend' }]
			},
		},
	}
}

/** Where `npm run dev` finds a daemon, and the local cookie that it then sends (for developers). */
const daemon = process.env.START_TUNNEL_URL ?? 'http://127.0.59.60:5960'
const headers = process.env.START_TUNNEL_COOKIE ? { cookie: `local=${process.env.START_TUNNEL_COOKIE}` } : undefined
const toDaemon = { target: daemon, changeOrigin: true, secure: false, headers }

export default defineConfig({
	root: here('.'),
	plugins: [react(), themeVariables(), bootFirst()],
	resolve: { alias: { '@shared': here('../shared/src') } },
	build: {
		outDir: here('../dist'),
		emptyOutDir: true,
		target: 'es2022',
		rollupOptions: { input: { index: here('index.html'), boot: here('src/boot.ts') } },
		cssCodeSplit: false, // one more request costs more than what a page does not use
		assetsInlineLimit: 0, // data: URLs would need an exception in the content security policy
		modulePreload: { polyfill: false }, // the polyfill is an inline script in older browsers only
		reportCompressedSize: false,
	},
	server: {
		proxy: { '/rpc': toDaemon, '/static': toDaemon, '/ws': { ...toDaemon, ws: true } },
	},
	test: {
		root: here('..'),
		include: ['shared/src/**/*.test.ts', 'tunnel/src/**/*.test.ts'],
		environment: 'node',
	},
})
