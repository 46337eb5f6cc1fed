// What the pages are made of, as a person names it: tables and their rows, dialogs, menus, messages.

import { expect, type Locator, type Page } from '@playwright/test'

import { fill } from '../../web/shared/src/text'
import { en } from './lab'

export { fill }

export const pages = [
	{ path: '/subnets', title: en.subnets.title },
	{ path: '/devices', title: en.devices.title },
	{ path: '/port-forwards', title: en.forwards.title },
	{ path: '/dns', title: en.dns.title },
	{ path: '/settings', title: en.settings.title },
] as const

export type Path = (typeof pages)[number]['path']

/** Opens a page by its address and waits until it shows the document. Unknown addresses lead to the first page. */
export async function open(page: Page, path: string): Promise<void> {
	await page.goto(path)
	const name = (pages.find((known) => path.startsWith(known.path)) ?? pages[0]).title
	await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
	await loaded(page)
}

export async function loaded(page: Page): Promise<void> {
	await expect(page.getByRole('status', { name: en.common.loading })).toHaveCount(0)
}

export const table = (page: Page, name: string): Locator => page.getByRole('table', { name, exact: true })

/** The rows of a table that hold a text; without one all rows but the head. */
export function rows(page: Page, name: string, text?: string | RegExp): Locator {
	const all = table(page, name).getByRole('rowgroup').nth(1).getByRole('row')
	return text === undefined ? all : all.filter({ hasText: text })
}

export const dialog = (page: Page, title: string): Locator => page.getByRole('dialog', { name: title, exact: true })

/** A text field by its whole name. */
export const field = (within: Locator | Page, name: string): Locator => within.getByRole('textbox', { name, exact: true })

export const choice = (within: Locator | Page, name: string): Locator => within.getByRole('combobox', { name, exact: true })

export const button = (within: Locator | Page, name: string): Locator => within.getByRole('button', { name, exact: true })

/** Chooses from the menu of a row. */
export async function act(page: Page, name: string, action: string): Promise<void> {
	await button(page, fill(en.common.actions, { name })).click()
	await page.getByRole('menuitem', { name: action, exact: true }).click()
}

/** Says yes where the page asks whether one is sure. */
export async function confirm(page: Page, yes: string): Promise<void> {
	const question = dialog(page, en.common.sure)
	await button(question, yes).click()
	await expect(question).toBeHidden()
}

export async function save(form: Locator): Promise<void> {
	await button(form, en.common.save).click()
	await expect(form).toBeHidden()
}

/** The field refuses what it has, and says why. */
export async function refused(form: Locator, name: string, why: string): Promise<void> {
	await expect(field(form, name)).toHaveAttribute('aria-invalid', 'true')
	await expect(field(form, name)).toHaveAccessibleDescription(new RegExp(escaped(why)))
}

export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

export const failure = (page: Page): Locator => page.getByRole('alert').filter({ hasText: en.common.error })

/** Types a text into a switch-like input that CSS draws, as Mantine's are. */
export const toggle = (within: Locator | Page, name: string): Locator => within.getByRole('switch', { name, exact: true })

export async function flip(control: Locator): Promise<void> {
	// The input itself has no size; its label takes the click.
	await control.evaluate((input: HTMLInputElement) => input.click())
}

/** Nothing is cut off or has to be scrolled to the side. */
export async function fits(page: Page): Promise<void> {
	const { inner, outer } = await page.evaluate(() => ({ inner: document.documentElement.scrollWidth, outer: document.documentElement.clientWidth }))
	expect(inner).toBeLessThanOrEqual(outer)
}
