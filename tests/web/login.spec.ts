import { readFile } from 'node:fs/promises'

import { en, environment, expect, logIn, test } from './lab'
import { button, dialog, open, pages, rows } from './pages'

test.use({ loggedIn: false })

const subnets = en.subnets.title

test('nothing of the server shows without the password', async ({ page, watch }) => {
	watch.expected.push(/401|403/)
	for (const { path } of pages) {
		await page.goto(path)
		await expect(button(page, en.login.submit)).toBeVisible()
		await expect(page).toHaveTitle('StartTunnel – Login')
		await expect(page.getByText('Home')).toHaveCount(0)
	}
})

test('a wrong password is refused, the right one opens the page that was asked for', async ({ page }) => {
	await page.goto('/devices?q=phone')
	await logIn(page, 'not the password')
	await expect(page.getByText(en.login.invalid)).toBeVisible()
	await expect(page.getByLabel(en.login.password, { exact: true })).toHaveAccessibleDescription(en.login.invalid)
	await logIn(page)
	await expect(page.getByRole('heading', { level: 1, name: en.devices.title })).toBeVisible()
	await expect(rows(page, en.devices.clients)).toHaveCount(1)
	await page.reload()
	await expect(rows(page, en.devices.clients)).toHaveCount(1)
})

test('the session is out of reach for scripts and other sites', async ({ page, context }) => {
	await page.goto('/')
	await logIn(page)
	await expect(rows(page, subnets)).toHaveCount(1)
	const cookie = (await context.cookies()).find(({ name }) => name === 'session')
	expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Strict' })
	expect(await page.evaluate(() => document.cookie)).toBe('')
})

test('logging out ends the session itself', async ({ page, context }) => {
	await page.goto('/settings')
	await logIn(page)
	await expect(page.getByRole('heading', { level: 1, name: en.settings.title })).toBeVisible()
	const before = await context.storageState()
	await button(page, en.settings.logout).click()
	await expect(button(page, en.login.submit)).toBeVisible()

	// Who kept the cookie has nothing.
	await context.addCookies(before.cookies)
	const answer = await page.evaluate(async () => {
		const body = JSON.stringify({ method: 'db.dump', params: {} })
		const headers = { 'content-type': 'application/json' }
		return (await fetch('/rpc/v1', { method: 'POST', headers, body })).json() as Promise<{ error?: { code: number } }>
	})
	expect(answer.error?.code).toBe(34)
})

test('a session that is ended elsewhere ends here', async ({ page, lab }) => {
	await page.goto('/')
	await logIn(page)
	await expect(rows(page, subnets)).toHaveCount(1)
	const { sessions } = await lab.rpc<{ sessions: Record<string, { lastActive: string; loggedIn: string }> }>('auth.session.list')
	await lab.rpc('auth.session.kill', { ids: Object.keys(sessions) })
	await expect(button(page, en.login.submit)).toBeVisible()
	await expect(page.getByText('Home')).toHaveCount(0)
	await lab.forgetSession()
})

test('the root certificate is there for who is not logged in yet', async ({ page }) => {
	await page.goto('/')
	await page.getByRole('button', { name: en.login.trustTitle }).click()
	const saved = page.waitForEvent('download')
	await page.getByRole('link', { name: en.trust.download }).click()
	expect(await readFile(await (await saved).path(), 'utf8')).toBe(await readFile(environment.root, 'utf8'))
	await expect(page.getByText(en.trust.fingerprint)).toBeVisible()
})

test('Chromium trusts the certificate under the root of this server, without a warning', async ({ page }) => {
	const answer = await page.goto('/')
	expect(await answer?.securityDetails()).toMatchObject({
		issuer: 'StartOS Local Intermediate CA',
		protocol: 'TLS 1.3',
	})
	expect(await page.evaluate(() => isSecureContext)).toBe(true)
	await expect(button(page, en.login.submit)).toBeVisible()
})

test('two tabs share a session: both are logged in, and both logged out', async ({ page, context }) => {
	await page.goto('/')
	await logIn(page)
	await expect(rows(page, subnets)).toHaveCount(1)
	const other = await context.newPage()
	await open(other, '/settings')
	await button(other, en.settings.logout).click()
	await expect(button(other, en.login.submit)).toBeVisible()
	await expect(button(page, en.login.submit)).toBeVisible()
	await expect(dialog(page, en.common.error)).toHaveCount(0)
})
