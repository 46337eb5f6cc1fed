// What keeps people out of a page, as axe finds it.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import type { Page } from '@playwright/test'
import type { AxeResults } from 'axe-core'

const axe = readFileSync(createRequire(`${process.cwd()}/`).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds wrong, of the kinds that keep people out. Put in by the debugger: the pages' policy refuses scripts. */
export async function violations(page: Page): Promise<string[]> {
	// A fading dialog has other colours.
	await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))))
	await page.evaluate(axe)
	const results = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeResults
	return results.violations
		.filter(({ impact }) => impact === 'serious' || impact === 'critical')
		.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary ?? ''}`))
}
