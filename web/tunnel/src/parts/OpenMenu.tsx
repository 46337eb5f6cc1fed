// The menu of a row that was asked for, with its button.

import { Menu } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'

import { IconButton } from '@shared/components/controls'
import { Mantine } from '@shared/components/Mantine'
import { IconMore } from '@shared/icons'

import type { RowAction } from './RowMenu'

export default function OpenMenu({ label, actions }: { label: string; actions: () => RowAction[] }) {
	const [opened, setOpened] = useState(false)
	const button = useRef<HTMLButtonElement>(null)
	// This button takes the place of the one that was pressed, and its focus, to which a closed menu gives it back.
	useEffect(() => {
		button.current?.focus()
		setOpened(true)
	}, [])
	return (
		<Mantine>
			<Menu opened={opened} onChange={setOpened} keepMounted={false} withInitialFocusPlaceholder={false} transitionProps={{ duration: 80 }}>
				<Menu.Target><IconButton ref={button} size={36} aria-label={label}><IconMore /></IconButton></Menu.Target>
				{opened && (
					<Menu.Dropdown>
						{actions().map(({ label, icon, run, danger }) => (
							<Menu.Item key={label} leftSection={icon} className={danger ? 'danger' : undefined} onClick={run}>{label}</Menu.Item>
						))}
					</Menu.Dropdown>
				)}
			</Menu>
		</Mantine>
	)
}
