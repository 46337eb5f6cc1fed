import { en, expect, SUBNET, test } from './lab'
import { act, button, choice, confirm, dialog, field, fill, open, refused, rows, save } from './pages'

interface Subnet {
	name: string
	wanIp: string | null
	clients: Record<string, { name: string }>
}

test.beforeEach(async ({ page }) => open(page, '/subnets'))

test('a subnet is added, with a free range offered', { tag: '@phone' }, async ({ page, lab }) => {
	await button(page, en.subnets.add).click()
	const form = dialog(page, en.subnets.add)
	await expect(field(form, en.subnets.range)).toHaveValue(/^10\.59\.\d+\.1\/24$/)
	await field(form, en.common.name).fill('Office')
	await field(form, en.subnets.range).fill('10.77.0.0/24')
	await save(form)
	await expect(rows(page, en.subnets.title, 'Office')).toContainText('10.77.0.1/24')
	expect(Object.keys(await lab.document('/wg/subnets'))).toContain('10.77.0.1/24')
})

test('what cannot be a subnet is refused where it is typed', async ({ page, lab }) => {
	await button(page, en.subnets.add).click()
	const form = dialog(page, en.subnets.add)
	await button(form, en.common.save).click()
	await refused(form, en.common.name, en.errors.required)
	for (const [range, why] of [
		['somewhere', en.errors.notCidr],
		['10.77.0.0/25', en.errors.prefix],
		['10.59.0.0/16', fill(en.errors.overlaps, { name: 'Home' })],
	] as const) {
		await field(form, en.subnets.range).fill(range)
		await field(form, en.common.name).fill('Office')
		await refused(form, en.subnets.range, why)
	}
	await button(form, en.common.save).click()
	await expect(form).toBeVisible()
	await button(form, en.common.cancel).click()
	await expect(form).toBeHidden()
	expect(Object.keys(await lab.document('/wg/subnets'))).toEqual([SUBNET])
})

test('a subnet gets another name and public address', async ({ page, lab }) => {
	await act(page, 'Home', en.common.edit)
	const form = dialog(page, en.subnets.edit)
	await field(form, en.common.name).fill('House')
	await choice(form, en.subnets.wan).selectOption('198.18.0.3')
	await save(form)
	await expect(rows(page, en.subnets.title, 'House')).toContainText('198.18.0.3')
	const subnets = await lab.document<Record<string, Subnet>>('/wg/subnets')
	expect(subnets[SUBNET]).toMatchObject({ name: 'House', wanIp: '198.18.0.3' })
})

test('a name is changed where it stands', { tag: '@phone' }, async ({ page, lab }) => {
	const rename = fill(en.devices.editHint, { name: 'Home' })
	await button(page, rename).click()
	await field(page, rename).fill('Nothing of it')
	await page.keyboard.press('Escape')
	await expect(button(page, rename)).toBeFocused()
	await button(page, rename).press('Enter')
	await field(page, rename).fill('House')
	await page.keyboard.press('Enter')
	await expect(rows(page, en.subnets.title, 'House')).toBeVisible()
	await expect.poll(async () => (await lab.document<Record<string, Subnet>>('/wg/subnets'))[SUBNET]?.name).toBe('House')
})

test('a deletion tells what goes with it', async ({ page, lab }) => {
	await act(page, 'Home', en.common.delete)
	const question = dialog(page, en.common.sure)
	await expect(question).toContainText(fill(en.subnets.deleteTitle, { name: 'Home' }))
	for (const lost of ['Server (10.59.37.2)', 'Phone (10.59.37.3)', 'Laptop (10.59.37.4)', 'Website', 'Game'])
		await expect(question.getByRole('listitem').filter({ hasText: lost })).toBeVisible()
	await button(question, en.common.cancel).click()
	await expect(question).toBeHidden()
	await expect(rows(page, en.subnets.title)).toHaveCount(1)

	await act(page, 'Home', en.common.delete)
	await confirm(page, en.common.delete)
	await expect(page.getByText(en.subnets.empty, { exact: true })).toBeVisible()
	await expect.poll(() => lab.document('/wg/subnets')).toEqual({})
	expect(await lab.document('/portForwards')).toEqual({})
})

test('what others change shows at once', async ({ page, lab }) => {
	await lab.cli('subnet', '10.88.0.1/24', 'add', 'From the shell')
	await expect(rows(page, en.subnets.title, 'From the shell')).toContainText('10.88.0.1/24')
	await lab.cli('subnet', '10.88.0.1/24', 'remove')
	await expect(rows(page, en.subnets.title)).toHaveCount(1)
})
