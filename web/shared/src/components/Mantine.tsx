// What Mantine's components need around them. It comes with the first part that uses them.

import { MantineProvider } from '@mantine/core'
import type { ReactNode } from 'react'

import { theme } from '../theme'

/** The attribute of <html> for light and dark is scheme.ts's. */
const none = () => undefined

export function Mantine({ children }: { children: ReactNode }) {
	return (
		<MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false} getRootElement={none}>
			{children}
		</MantineProvider>
	)
}
