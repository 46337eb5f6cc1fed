// The actions of a row. The menu itself is made when it is first asked for: tables have many rows.

import { ActionIcon, Menu } from '@mantine/core'
import { useState, type ReactNode } from 'react'

import { IconMore } from '@shared/icons'
import { fill } from '@shared/text'

import { useI18n } from '../i18n'

export interface RowAction {
	label: string
	icon: ReactNode
	run: () => void
	danger?: boolean
}

export function RowMenu({ name, actions }: { name: string; actions: () => RowAction[] }) {
	const { m } = useI18n()
	const [opened, setOpened] = useState(false)
	return (
		<Menu opened={opened} onChange={setOpened} keepMounted={false} withInitialFocusPlaceholder={false} transitionProps={{ duration: 80 }}>
			<Menu.Target>
				<ActionIcon variant="subtle" color="gray" size={36} aria-label={fill(m.common.actions, { name })}>
					<IconMore />
				</ActionIcon>
			</Menu.Target>
			{opened && (
				<Menu.Dropdown>
					{actions().map(({ label, icon, run, danger }) => (
						<Menu.Item key={label} leftSection={icon} className={danger ? 'danger' : undefined} onClick={run}>{label}</Menu.Item>
					))}
				</Menu.Dropdown>
			)}
		</Menu>
	)
}
