// One dialog, as Dialogs shows it.

import { Modal } from '@mantine/core'
import { Suspense, useEffect, useRef, useState } from 'react'

import { forgetDialog, type OpenDialog } from './dialogs'
import { Mantine } from './Mantine'

/** A body that had to be loaded is not there yet when the dialog takes the focus: it gets it as it comes. */
function Arrived() {
	const here = useRef<HTMLSpanElement>(null)
	useEffect(() => {
		// After the dialog has noted where the focus was.
		const timer = setTimeout(() => here.current?.parentElement?.querySelector<HTMLElement>('[data-autofocus]')?.focus(), 0)
		return () => clearTimeout(timer)
	}, [])
	return <span ref={here} hidden />
}

export default function Dialog({ dialog, closeLabel }: { dialog: OpenDialog; closeLabel: string }) {
	const [shown, setShown] = useState(true)
	const close = () => setShown(false)
	const gone = () => {
		forgetDialog(dialog.id)
		// When it is out of the page; unless the focus has gone elsewhere, as to another dialog.
		setTimeout(() => {
			if (document.activeElement === document.body || !document.activeElement) dialog.opener?.focus()
		}, 0)
	}
	return (
		<Mantine>
			<Modal.Root
				opened={shown}
				onClose={close}
				onExitTransitionEnd={gone}
				returnFocus={false}
				size={dialog.size}
				transitionProps={{ duration: 120 }}
			>
				<Modal.Overlay backgroundOpacity={0.5} />
				<Modal.Content>
					{/* Not the banner of the page, which a <header> would say. */}
					<Modal.Header role="none">
						<Modal.Title>{dialog.title}</Modal.Title>
						<Modal.CloseButton aria-label={closeLabel} />
					</Modal.Header>
					<Modal.Body><Suspense fallback={null}>{dialog.body(close)}<Arrived /></Suspense></Modal.Body>
				</Modal.Content>
			</Modal.Root>
		</Mantine>
	)
}
