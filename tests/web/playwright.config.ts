// How the pages are tested; run.py starts it and passes the environment.

import { defineConfig } from '@playwright/test'

import { environment, patience } from './lab'

/** A phone's viewport and touch, without another browser's name. */
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }
const desktop = { viewport: { width: 1280, height: 800 } }

const screenshots = process.env.WEB_SCREENSHOTS !== undefined

export default defineConfig({
	testDir: '.',
	outputDir: `${environment.state}/results`,
	// One browser at a time: there is one daemon, and each test begins with its own document.
	workers: 1,
	fullyParallel: false,
	retries: 0,
	forbidOnly: true,
	timeout: 90_000 * patience,
	expect: { timeout: 30_000 * patience },
	reporter: [['line'], ...(environment.junit ? [['junit', { outputFile: environment.junit }] as const] : [])],
	use: {
		baseURL: environment.url,
		locale: 'en-US',
		timezoneId: 'UTC',
		actionTimeout: 30_000 * patience,
		navigationTimeout: 30_000 * patience,
		launchOptions: {
			executablePath: environment.chromium,
			args: [
				'--no-sandbox',
				'--disable-gpu',
				'--disable-quic',
				'--no-first-run',
				'--disable-background-networking',
				'--disable-component-update',
				'--disable-sync',
			],
		},
	},
	projects: screenshots
		? [{ name: 'screenshots', testMatch: 'screenshots.ts' }]
		: [
				{ name: 'desktop', testMatch: '*.spec.ts', use: desktop },
				// What differs on a phone is the layout; the rest is proved once.
				{ name: 'phone', testMatch: '*.spec.ts', grep: /@phone/, use: phone },
			],
})
