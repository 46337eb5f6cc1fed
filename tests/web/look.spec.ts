import { en, environment, expect, logIn, SERVER, test } from './lab'
import { button, dialog, field, fits, open, pages } from './pages'
import { scenes, title } from './scenes'
import { violations } from './violations'

for (const colorScheme of ['light', 'dark'] as const) {
	// The dark colours are the same at every size.
	const size = colorScheme === 'light' ? { tag: '@phone' } : {}
	test.describe(`${colorScheme}:`, size, () => {
		test.use({ colorScheme })

		test('axe finds nothing serious on the pages', async ({ page, lab }) => {
			await lab.join(SERVER)
			for (const { path } of pages) {
				await open(page, path)
				expect.soft(await violations(page), path).toEqual([])
				await fits(page)
			}
		})

		test('axe finds nothing serious in the dialogs', async ({ page, lab }) => {
			for (const scene of scenes) {
				if (scene.needs !== undefined && !(await lab.has(scene.needs))) continue
				await scene.open(page)
				await expect(dialog(page, scene.name)).toBeVisible()
				expect.soft(await violations(page), title(scene)).toEqual([])
				await fits(page)
			}
		})

		test('axe finds nothing serious where one logs in', async ({ page, context }) => {
			await context.clearCookies()
			await page.goto('/')
			await page.evaluate(() => localStorage.clear())
			await page.reload()
			await button(page, en.login.trustTitle).click()
			await expect(page.getByText(en.trust.fingerprint)).toBeVisible()
			expect.soft(await violations(page)).toEqual([])
			await logIn(page, 'not the password')
			await expect(page.getByText(en.login.invalid)).toBeVisible()
			expect.soft(await violations(page)).toEqual([])
			await fits(page)
		})
	})
}

test('each page has an address and a title', { tag: '@phone' }, async ({ page, isMobile }) => {
	await open(page, '/')
	await expect(page).toHaveURL(/\/subnets$/)
	const menu = page.getByRole('navigation', { name: en.nav.label })
	for (const { path, title } of pages) {
		if (isMobile) await button(page, en.nav.open).click()
		await menu.getByRole('link', { name: title }).click()
		await expect(page).toHaveURL(new RegExp(`${path}$`))
		await expect(page).toHaveTitle(`StartTunnel – ${title}`)
		await expect(page.getByRole('heading', { level: 1, name: title })).toBeVisible()
	}
	await page.goBack()
	await expect(page).toHaveTitle(`StartTunnel – ${en.dns.title}`)
	await open(page, '/no/such/page')
	await expect(page).toHaveURL(/\/subnets$/)
})

test('the theme is chosen, and kept', { tag: '@phone' }, async ({ page }) => {
	await open(page, '/settings')
	for (const [name, scheme] of [[en.settings.dark, 'dark'], [en.settings.light, 'light']] as const) {
		await page.getByText(name, { exact: true }).click()
		await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', scheme)
	}
	await page.getByText(en.settings.dark, { exact: true }).click()
	await page.reload()
	await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', 'dark')
	await open(page, '/settings')
	await page.getByText(en.settings.auto, { exact: true }).click()
	await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', 'light')
})

test('the pages are refused to others’ frames and scripts', async ({ page }) => {
	const answer = await page.goto('/')
	const policy = answer?.headers()['content-security-policy'] ?? ''
	for (const directive of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
		expect(policy).toContain(directive)
	expect(policy).not.toMatch(/unsafe-(inline|eval)[^;]*script|script-src[^;]*unsafe/)
	expect(answer?.headers()).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
	expect(answer?.url()).toBe(`${environment.url}/`)
})

test('everything is done with the keyboard alone', async ({ page, lab }) => {
	await open(page, '/subnets')
	await page.keyboard.press('Tab')
	await expect(page.getByRole('link', { name: en.nav.skip })).toBeFocused()

	/** Goes on with Tab until what is meant has the focus. */
	const tabTo = async (name: string, role: 'link' | 'button' | 'textbox') => {
		const target = page.getByRole(role, { name, exact: true }).first()
		for (let n = 0; n < 60; n++) {
			if (await target.evaluate((element) => element === document.activeElement).catch(() => false)) return
			await page.keyboard.press('Tab')
		}
		throw new Error(`Tab does not lead to ${name}`)
	}

	await tabTo(en.subnets.add, 'button')
	await page.keyboard.press('Enter')
	const form = dialog(page, en.subnets.add)
	await expect(field(form, en.common.name)).toBeFocused()
	await page.keyboard.type('By keyboard')
	await page.keyboard.press('Enter')
	await expect(form).toBeHidden()
	await expect(page.getByRole('row').filter({ hasText: 'By keyboard' })).toBeVisible()
	await expect(button(page, en.subnets.add)).toBeFocused()

	await tabTo('Actions for By keyboard', 'button')
	await page.keyboard.press('Enter')
	await expect(page.getByRole('menuitem', { name: en.common.edit, exact: true })).toBeVisible()
	// The menu takes the focus in its own time.
	await expect(async () => {
		await page.keyboard.press('ArrowDown')
		await expect(page.getByRole('menuitem', { name: en.common.delete, exact: true })).toBeFocused({ timeout: 1000 })
	}).toPass()
	await page.keyboard.press('Enter')
	const question = dialog(page, en.common.sure)
	// What cannot be undone is not what Enter does by itself.
	await expect(button(question, en.common.cancel)).toBeFocused()
	await page.keyboard.press('Tab')
	await expect(button(question, en.common.delete)).toBeFocused()
	await page.keyboard.press('Enter')
	await expect(page.getByRole('row').filter({ hasText: 'By keyboard' })).toHaveCount(0)
	// The row goes at once; the question fades.
	await expect(question).toBeHidden()

	await page.keyboard.press('/')
	await expect(page.getByRole('searchbox')).toBeFocused()
	await page.keyboard.type('nothing')
	await page.keyboard.press('Escape')
	await expect(page.getByRole('searchbox')).toHaveValue('')
	expect(Object.keys(await lab.document('/wg/subnets'))).toHaveLength(1)
})
