// The actions of a row. The menu itself is made when it is first asked for: tables have many rows.

import { ActionIcon, Menu } from '@mantine/core'
import { useEffect, useRef, useState, type ReactNode } from 'react'

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
	const [asked, setAsked] = useState(false)
	const [opened, setOpened] = useState(false)
	const button = useRef<HTMLButtonElement>(null)
	// The button of the menu takes the place of the one that was pressed, and its focus, to which a closed
	// menu gives it back.
	useEffect(() => {
		if (!asked) return
		button.current?.focus()
		setOpened(true)
	}, [asked])
	const icon = (
		<ActionIcon
			ref={button}
			variant="subtle"
			color="gray"
			size={36}
			aria-label={fill(m.common.actions, { name })}
			{...(asked ? {} : { 'aria-haspopup': 'menu', 'aria-expanded': false, onClick: () => setAsked(true) })}
		>
			<IconMore />
		</ActionIcon>
	)
	if (!asked) return icon
	return (
		<Menu opened={opened} onChange={setOpened} keepMounted={false} withInitialFocusPlaceholder={false} transitionProps={{ duration: 80 }}>
			<Menu.Target>{icon}</Menu.Target>
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
