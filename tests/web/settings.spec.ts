import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { en, environment, expect, logIn, test } from './lab'
import { button, confirm, dialog, field, fill, open, refused, save } from './pages'

test('the version is that of the daemon', async ({ page, lab }) => {
	await open(page, '/settings')
	const { version } = await lab.rpc<{ version: string }>('status')
	await expect(page.getByText(`StartTunnel ${version}`)).toBeVisible()
})

test('the password is changed', { tag: '@phone' }, async ({ page, lab, context }) => {
	await open(page, '/settings')
	await button(page, en.settings.changePassword).click()
	const form = dialog(page, en.settings.changePassword)
	const fresh = form.locator('input').and(form.getByLabel(en.settings.newPassword))
	const again = form.locator('input').and(form.getByLabel(en.settings.confirmPassword))
	await fresh.fill('short')
	await again.fill('short')
	await button(form, en.common.save).click()
	await expect(fresh).toHaveAccessibleDescription(new RegExp(en.errors.passwordLength))
	await fresh.fill('another long enough password')
	await again.fill('yet another long password')
	await button(form, en.common.save).click()
	await expect(again).toHaveAccessibleDescription(new RegExp(en.errors.passwordMatch))
	await again.fill('another long enough password')
	await save(form)
	await expect(page.getByText(en.settings.passwordChanged)).toBeVisible()

	await context.clearCookies()
	await page.evaluate(() => localStorage.clear())
	await page.goto('/settings')
	await logIn(page, environment.password)
	await expect(page.getByText(en.login.invalid)).toBeVisible()
	await logIn(page, 'another long enough password')
	await expect(button(page, en.settings.logout)).toBeVisible()
	await lab.rpc('auth.set-password', { password: environment.password })
	await lab.forgetSession()
})

test('other browsers’ sessions are listed and ended', async ({ page, browser }) => {
	const other = await browser.newPage({ baseURL: environment.url, locale: 'en-US', storageState: { cookies: [], origins: [] } })
	// One more than can be ended by a button of its own.
	for (let n = 0; n < 2; n++) {
		await other.context().clearCookies()
		await other.goto('/')
		await other.evaluate(() => localStorage.clear())
		await other.reload()
		await logIn(other)
		await expect(other.getByRole('heading', { level: 1, name: en.subnets.title })).toBeVisible()
	}

	await open(page, '/settings')
	const card = page.getByRole('region', { name: en.settings.sessions })
	await expect(card.getByText(en.settings.thisSession)).toBeVisible()
	await button(card, en.settings.endOthers).click()
	await confirm(page, en.settings.endOthers)
	await expect(card.getByRole('listitem')).toHaveCount(1)
	await expect(button(other, en.login.submit)).toBeVisible()
	await expect(button(page, en.settings.logout)).toBeVisible()
	await other.close()
})

test('a key is added as OpenSSH writes it, and removed', { tag: '@phone' }, async ({ page, lab }) => {
	const folder = mkdtempSync(join(environment.state, 'key-'))
	execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'owner@laptop', '-f', join(folder, 'key')])
	const key = readFileSync(join(folder, 'key.pub'), 'utf8')
	await open(page, '/settings')
	await button(page, en.settings.addKey).click()
	const form = dialog(page, en.settings.addKey)
	await field(form, en.settings.key).fill('ssh-rsa AAAA')
	await button(form, en.common.save).click()
	await refused(form, en.settings.key, en.errors.notKey)
	await field(form, en.settings.keyName).fill('')
	await field(form, en.settings.key).fill(key)
	await expect(field(form, en.settings.keyName)).toHaveValue('owner@laptop')
	await save(form)
	const card = page.getByRole('region', { name: en.settings.keys })
	await expect(card.getByRole('listitem').filter({ hasText: 'owner@laptop' })).toBeVisible()
	expect(JSON.stringify(await lab.rpc('auth.key.list'))).toContain('owner@laptop')

	const remove = fill(en.settings.removeKey, { name: 'owner@laptop' })
	await button(card, remove).click()
	await confirm(page, en.settings.remove)
	await expect(card.getByRole('listitem')).toHaveCount(0)
	expect(await lab.rpc('auth.key.list')).toEqual({})
})

test('the certificate shows its names and how to trust it', async ({ page }) => {
	await open(page, '/settings')
	const card = page.getByRole('region', { name: en.settings.certificate })
	await expect(card).toContainText('198.18.0.2')
	const root = execFileSync('openssl', ['x509', '-in', environment.root, '-noout', '-fingerprint', '-sha256'], { encoding: 'utf8' })
	const digits = root.split('=')[1]!.trim().replaceAll(':', '').toLowerCase()
	const shown = (await card.locator('code').innerText()).replace(/[^0-9a-fA-F]/g, '').toLowerCase()
	expect(shown).toBe(digits)

	await button(card, en.settings.howToTrust).click()
	const saved = page.waitForEvent('download')
	await dialog(page, en.settings.howToTrust).getByRole('link', { name: en.trust.download }).click()
	expect(readFileSync(await (await saved).path(), 'utf8')).toBe(readFileSync(environment.root, 'utf8'))
})

test('the pages move to another address and are found there', async ({ page, lab, watch }) => {
	watch.expected.push(/another origin: https:\/\/198\.18\.0\.2:9443\/|ERR_|WebSocket/)
	await open(page, '/settings')
	const card = page.getByRole('region', { name: en.settings.listen })
	await button(card, en.settings.changeListen).click()
	const form = dialog(page, en.settings.listen)
	await field(form, en.settings.port).fill('0')
	await button(form, en.common.save).click()
	await refused(form, en.settings.port, en.errors.notPort)
	await field(form, en.settings.port).fill('9443')
	await save(form)
	await page.getByRole('link', { name: en.settings.openNew }).click()
	await expect(page).toHaveURL('https://198.18.0.2:9443/settings')
	await lab.rpc('web.set-listen', { listen: '198.18.0.2:8443' })
})

test('a reboot asks first', async ({ page }) => {
	await open(page, '/settings')
	await button(page, en.settings.reboot).click()
	const question = dialog(page, en.common.sure)
	await expect(question).toContainText(en.settings.rebootText)
	await button(question, en.common.cancel).click()
	await expect(question).toBeHidden()
})
