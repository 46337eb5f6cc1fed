import { de } from '../../web/tunnel/src/i18n/de'
import { es } from '../../web/tunnel/src/i18n/es'
import { fr } from '../../web/tunnel/src/i18n/fr'
import { pl } from '../../web/tunnel/src/i18n/pl'

import { en, expect, test } from './lab'
import { button, choice, dialog, fits, open } from './pages'

const others = { de, es, fr, pl } as const

for (const [id, m] of Object.entries(others)) {
	test.describe(`${id}:`, () => {
		test.use({ locale: id })

		test('the pages speak the browser’s language', { tag: '@phone' }, async ({ page, isMobile }) => {
			await page.goto('/')
			await expect(page.locator('html')).toHaveAttribute('lang', id)
			const menu = page.getByRole('navigation', { name: m.nav.label })
			for (const { title, path } of [
				{ title: m.devices.title, path: '/devices' },
				{ title: m.forwards.title, path: '/port-forwards' },
				{ title: m.dns.title, path: '/dns' },
				{ title: m.settings.title, path: '/settings' },
				{ title: m.subnets.title, path: '/subnets' },
			]) {
				if (isMobile) await button(page, m.nav.open).click()
				await menu.locator(`a[href="${path}"]`).click()
				await expect(page.getByRole('heading', { level: 1, name: title })).toBeVisible()
				await expect(page).toHaveTitle(`StartTunnel – ${title}`)
				await fits(page)
			}
			await button(page, m.subnets.add).click()
			const form = dialog(page, m.subnets.add)
			await button(form, m.common.save).click()
			await expect(form.getByText(m.errors.required)).toBeVisible()
			await fits(page)
		})
	})
}

test('another language is chosen, and kept', async ({ page }) => {
	await open(page, '/settings')
	await choice(page, en.settings.language).selectOption('pl')
	await expect(page.getByRole('heading', { level: 1, name: pl.settings.title })).toBeVisible()
	await page.reload()
	await expect(page.getByRole('heading', { level: 1, name: pl.settings.title })).toBeVisible()
	await expect(page.locator('html')).toHaveAttribute('lang', 'pl')
	await choice(page, pl.settings.language).selectOption('en')
	await expect(page.getByRole('heading', { level: 1, name: en.settings.title })).toBeVisible()
})
