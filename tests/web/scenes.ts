// Every dialog of the pages, and the way to it. The names are those of the document that a test begins with.

import type { Page } from '@playwright/test'

import { en, expect, SERVER, VPS } from './lab'
import { act, button, dialog, field, fill, open } from './pages'

export interface Scene {
	/** What the dialog is called. */
	name: string
	/** What is in it, where its name alone does not say. */
	of?: string
	/** Only with daemons that have this method. */
	needs?: string
	open(page: Page): Promise<void>
}

const website = `Website (${VPS}:8080)`

/** A page, and a button on it. */
const by = (path: string, name: string) => async (page: Page) => {
	await open(page, path)
	// An empty table offers it a second time.
	await button(page, name).first().click()
}

/** A page, and an entry of a row's menu. */
const from = (path: string, row: string, action: string) => async (page: Page) => {
	await open(page, path)
	await act(page, row, action)
}

async function qr(page: Page): Promise<void> {
	await from('/devices', 'Phone', en.devices.viewConfig)(page)
	const config = dialog(page, en.config.title)
	await config.getByRole('tab', { name: en.config.qr }).click()
	await expect(config.getByRole('img', { name: fill(en.config.qrLabel, { name: 'Phone' }) })).toBeVisible()
}

export const scenes: readonly Scene[] = [
	{
		name: en.subnets.add,
		of: 'a fault',
		open: async (page) => {
			await by('/subnets', en.subnets.add)(page)
			const form = dialog(page, en.subnets.add)
			await button(form, en.common.save).click()
			await expect(field(form, en.common.name)).toHaveAttribute('aria-invalid', 'true')
		},
	},
	{ name: en.subnets.edit, open: from('/subnets', 'Home', en.common.edit) },
	{ name: en.common.sure, of: 'a subnet', open: from('/subnets', 'Home', en.common.delete) },
	{ name: en.devices.addServer, open: by('/devices', en.devices.addServer) },
	{ name: en.devices.addClient, open: by('/devices', en.devices.addClient) },
	{ name: en.devices.edit, open: from('/devices', 'Phone', en.common.edit) },
	{
		name: en.config.title,
		of: 'the file',
		open: async (page) => {
			await from('/devices', 'Phone', en.devices.viewConfig)(page)
			await expect(field(dialog(page, en.config.title), en.config.content)).toHaveValue(/PrivateKey/)
		},
	},
	{ name: en.config.title, of: 'the QR code', open: qr },
	{ name: 'Server', of: 'the details', open: (page) => open(page, `/devices/${SERVER}`) },
	{ name: en.common.sure, of: 'a device', open: from('/devices', 'Server', en.common.delete) },
	{ name: en.common.sure, of: 'a kind', open: from('/devices', 'Server', en.devices.toClient) },
	{
		name: en.forwards.add,
		of: 'a fault',
		open: async (page) => {
			await by('/port-forwards', en.forwards.add)(page)
			const form = dialog(page, en.forwards.add)
			await field(form, en.forwards.externalPort).fill('8080')
			await field(form, en.forwards.externalPort).blur()
			await expect(form.getByRole('alert')).toBeVisible()
		},
	},
	{ name: en.forwards.edit, open: from('/port-forwards', website, en.common.edit) },
	{ name: en.common.sure, of: 'a forward', open: from('/port-forwards', website, en.common.delete) },
	{ name: en.dns.add, needs: 'dns.add', open: by('/dns', en.dns.add) },
	{ name: en.settings.changePassword, open: by('/settings', en.settings.changePassword) },
	{ name: en.settings.addKey, open: by('/settings', en.settings.addKey) },
	{
		name: en.settings.howToTrust,
		open: async (page) => {
			await by('/settings', en.settings.howToTrust)(page)
			await expect(dialog(page, en.settings.howToTrust)).toContainText(en.trust.fingerprint)
		},
	},
	{ name: en.settings.listen, open: by('/settings', en.settings.changeListen) },
	{ name: en.common.sure, of: 'a reboot', open: by('/settings', en.settings.reboot) },
]

/** What a scene is called in the outcome of a test. */
export const title = ({ name, of }: Scene): string => (of === undefined ? name : `${name}: ${of}`)

