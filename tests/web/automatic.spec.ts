// Port forwards that a server opened by itself.

import { de } from '../../web/tunnel/src/i18n/de'
import { es } from '../../web/tunnel/src/i18n/es'
import { fr } from '../../web/tunnel/src/i18n/fr'
import { pl } from '../../web/tunnel/src/i18n/pl'

import { en, expect, SERVER, test, VPS, type Lab } from './lab'
import { act, button, confirm, dialog, fill, fits, flip, open, rows, toggle } from './pages'

interface Forward {
	label: string | null
	enabled: boolean
	auto: boolean
}

const { manual, automatic } = en.forwards
const door = `${VPS}:8444`
const forwards = (lab: Lab) => lab.document<Record<string, Forward>>('/portForwards')

test('what a server opened by itself is switched off, made manual and deleted', { tag: '@phone' }, async ({ page, lab }) => {
	await open(page, '/port-forwards')
	await lab.join(SERVER)
	await lab.openPort(8444, 80, 3600)
	const row = rows(page, automatic, '8444')
	await expect(row).toContainText('Server')
	await expect(row).toContainText('NAT-PMP')
	await expect(row).toContainText(en.status.active)
	// "2:05 PM", or the next day's if it is almost midnight.
	await expect(row).toContainText(/\d:\d\d\s[AP]M/)
	expect(await lab.get(8444)).toContain('This is server')
	const name = `${(await forwards(lab))[door]!.label} (${door})`

	const control = toggle(page, fill(en.forwards.enable, { name }))
	await expect(control).toBeChecked()
	await flip(control)
	await expect(row).toContainText(en.status.disabled)
	await expect.poll(() => lab.get(8444)).toBe('')
	// What the owner switched off stays off.
	await lab.openPort(8444, 80, 3600)
	expect((await forwards(lab))[door]).toMatchObject({ enabled: false, auto: true })
	await flip(control)
	await expect.poll(() => lab.get(8444)).toContain('This is server')

	await act(page, name, en.forwards.pin)
	await expect(page.getByText(fill(en.forwards.pinned, { name }))).toBeVisible()
	await expect(rows(page, manual, '8444')).toBeVisible()
	await expect(rows(page, automatic)).toHaveCount(0)
	await expect.poll(async () => (await forwards(lab))[door]?.auto).toBe(false)

	await lab.openPort(8445, 80, 3600)
	const second = `${(await forwards(lab))[`${VPS}:8445`]!.label} (${VPS}:8445)`
	await act(page, second, en.common.delete)
	await expect(dialog(page, en.common.sure)).toContainText(en.forwards.deleteAutomaticText)
	await confirm(page, en.common.delete)
	await expect(rows(page, automatic)).toHaveCount(0)
	await expect.poll(async () => Object.keys(await forwards(lab))).not.toContain(`${VPS}:8445`)
	await fits(page)
})

for (const [language, m] of Object.entries({ en, de, es, fr, pl })) {
	test.describe(`${language}:`, () => {
		test.use({ locale: language })

		test('automatic port forwards and what can be done with them', { tag: '@phone' }, async ({ page, lab }) => {
			await lab.join(SERVER)
			await lab.openPort(8444, 80, 3600)
			await page.goto('/port-forwards')
			const row = rows(page, m.forwards.automatic, '8444')
			await expect(row).toContainText(m.status.active)
			await expect(page.getByRole('table', { name: m.forwards.automatic }).getByRole('columnheader', { name: m.forwards.until })).toHaveCount(1)
			const name = `${(await forwards(lab))[door]!.label} (${door})`
			await button(page, fill(m.common.actions, { name })).click()
			for (const entry of [m.forwards.pin, m.common.edit, m.common.delete])
				await expect(page.getByRole('menuitem', { name: entry, exact: true })).toBeVisible()
			await page.getByRole('menuitem', { name: m.common.delete, exact: true }).click()
			await expect(dialog(page, m.common.sure)).toContainText(m.forwards.deleteAutomaticText)
			await button(dialog(page, m.common.sure), m.common.cancel).click()
			await fits(page)
		})
	})
}
