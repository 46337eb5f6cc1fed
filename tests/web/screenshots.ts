// The manual's pictures: pages and dialogs as an owner sees them, with devices that are really there and
// traffic that really flows. run.py --screenshots FOLDER writes them.

import { join } from 'node:path'
import { writeFileSync } from 'node:fs'

import type { Page } from '@playwright/test'

import { en, environment, expect, test } from './lab'
import { act, button, choice, dialog, field, open, rows } from './pages'

const folder = environment.screenshots!
/** Until the small charts have something to show, in ms; they reach back a minute. */
const CHART_MS = 40_000
/** Clear text in less than 60 KiB. */
const QUALITY = 80

/** The window, or a window high enough for all of the page. */
async function picture(page: Page, name: string, whole = false): Promise<void> {
	const before = page.viewportSize()!
	if (whole) {
		const height = await page.evaluate(() => document.documentElement.scrollHeight)
		await page.setViewportSize({ width: before.width, height })
	}
	await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))))
	const session = await page.context().newCDPSession(page)
	const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY })
	writeFileSync(join(folder, `${name}.webp`), Buffer.from(data, 'base64'))
	await session.detach()
	await page.setViewportSize(before)
}

/** Where the mouse is nobody looks. */
const away = (page: Page) => page.mouse.move(2, 2)

const phone = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }

test.describe('desktop', () => {
	test.use({ viewport: { width: 1280, height: 800 } })

	test('pages and dialogs', async ({ page, lab }) => {
		test.setTimeout(600_000)
		await lab.scene()
		await open(page, '/devices')
		await expect(rows(page, en.devices.clients).first()).toContainText(en.status.online)
		await page.waitForTimeout(CHART_MS)
		await away(page)
		await picture(page, 'devices')

		await rows(page, en.devices.servers).first().getByRole('link').first().click()
		await expect(page.getByText(en.devices.publicKey)).toBeVisible()
		await away(page)
		await picture(page, 'device')
		await page.keyboard.press('Escape')

		await button(page, en.devices.addServer).click()
		await field(dialog(page, en.devices.addServer), en.common.name).fill('Nextcloud')
		await choice(dialog(page, en.devices.addServer), en.devices.subnet).selectOption('10.59.37.1/24')
		await picture(page, 'add-server')
		await page.keyboard.press('Escape')

		await act(page, 'Laptop', en.devices.viewConfig)
		const config = dialog(page, en.config.title)
		await config.getByRole('tab', { name: en.config.qr }).click()
		await expect(config.locator('svg path').first()).toBeVisible()
		await picture(page, 'config-qr')
		await button(config, en.common.close).click()

		await act(page, 'Home server', en.common.delete)
		await expect(button(dialog(page, en.common.sure), en.common.cancel)).toBeVisible()
		await picture(page, 'delete-device')
		await page.keyboard.press('Escape')

		await page.getByRole('navigation', { name: en.nav.label }).getByRole('link', { name: en.nav.forwards }).click()
		await expect(rows(page, en.forwards.manual).first()).toBeVisible()
		await away(page)
		await expect(rows(page, en.forwards.automatic).first()).toBeVisible()
		await picture(page, 'port-forwards', true)
		await button(page, en.forwards.add).click()
		const form = dialog(page, en.forwards.add)
		await field(form, en.forwards.label).fill('Video calls')
		await field(form, en.forwards.externalPort).fill('10000')
		await picture(page, 'add-port-forward')
		await page.keyboard.press('Escape')

		await open(page, '/subnets')
		await away(page)
		await picture(page, 'subnets')
		await open(page, '/dns')
		await picture(page, 'dns')
		await open(page, '/settings')
		await expect(page.getByText(en.settings.inSync)).toBeVisible()
		await picture(page, 'settings', true)
		await page.emulateMedia({ colorScheme: 'dark' })
		await open(page, '/devices')
		await away(page)
		await page.waitForTimeout(CHART_MS)
		await picture(page, 'devices-dark')
	})

	test.describe('outside', () => {
		test.use({ loggedIn: false })
		test('login', async ({ page }) => {
			await page.goto('/')
			await expect(button(page, en.login.submit)).toBeVisible()
			await picture(page, 'login')
			await button(page, en.login.trustTitle).click()
			await expect(page.getByText(en.trust.fingerprint)).toBeVisible()
			await picture(page, 'login-trust', true)
		})
	})
})

test.describe('phone', () => {
	test.use(phone)

	test('pages and dialogs', async ({ page, lab }) => {
		test.setTimeout(600_000)
		await lab.scene()
		await open(page, '/devices')
		await page.waitForTimeout(CHART_MS)
		await picture(page, 'devices-phone')
		await button(page, en.nav.open).click()
		await page.getByRole('link', { name: en.nav.forwards }).click()
		await expect(rows(page, en.forwards.manual).first()).toBeVisible()
		await picture(page, 'port-forwards-phone')
		await open(page, '/subnets')
		await picture(page, 'subnets-phone')
		await open(page, '/settings')
		await choice(page, en.settings.language).scrollIntoViewIfNeeded()
		await picture(page, 'settings-phone')
		await open(page, '/devices')
		await act(page, 'Tablet', en.devices.viewConfig)
		const config = dialog(page, en.config.title)
		await config.getByRole('tab', { name: en.config.qr }).click()
		await expect(config.locator('svg path').first()).toBeVisible()
		await picture(page, 'config-qr-phone')
	})

	test.describe('outside', () => {
		test.use({ loggedIn: false })
		test('login', async ({ page }) => {
			await page.goto('/')
			await expect(button(page, en.login.submit)).toBeVisible()
			await picture(page, 'login-phone')
		})
	})
})

