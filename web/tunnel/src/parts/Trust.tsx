// The server's own root certificate: its download, its fingerprint, and how each platform comes to trust it.

import { Button, NativeSelect, Skeleton, Stack } from '@mantine/core'
import { Fragment, useEffect, useState } from 'react'

import { CopyIcon } from '@shared/components/Copy'
import { IconDownload } from '@shared/icons'
import { fill } from '@shared/text'

import { useI18n } from '../i18n'
import styles from '../styles/parts.module.css'

interface Root {
	fingerprint: string
	subject: string
	notAfter: string
}

/** undefined while it is asked for, null where there is none. */
export function useRoot(): Root | null | undefined {
	const [root, setRoot] = useState<Root | null | undefined>()
	useEffect(() => {
		const end = new AbortController()
		fetch('/static/local-root-ca.json', { signal: end.signal, cache: 'no-store' })
			.then(async (response) => {
				const isJson = response.ok && response.headers.get('content-type')?.includes('json')
				setRoot(isJson ? ((await response.json()) as Root) : null)
			})
			.catch(() => !end.signal.aborted && setRoot(null))
		return () => end.abort()
	}, [])
	return root
}

const platforms = ['ios', 'macos', 'windows', 'android', 'linux', 'firefox'] as const
type Platform = (typeof platforms)[number]
const names: Record<Platform, string> = { ios: 'iPhone, iPad', macos: 'macOS', windows: 'Windows', android: 'Android', linux: 'Linux', firefox: 'Firefox' }

function thisPlatform(): Platform {
	const agent = navigator.userAgent
	if (/iPhone|iPad/.test(agent)) return 'ios'
	if (/Android/.test(agent)) return 'android'
	if (/Firefox/.test(agent)) return 'firefox'
	if (/Mac OS X/.test(agent)) return 'macos'
	return /Windows/.test(agent) ? 'windows' : 'linux'
}

export function Fingerprint({ value }: { value: string }) {
	const { m } = useI18n()
	return (
		<span className={styles.inline}>
			<code className={styles.mono}>{value.split(':').map((byte, i) => <Fragment key={i}>{i > 0 && <>:<wbr /></>}{byte}</Fragment>)}</code>
			<CopyIcon text={value} label={m.common.copy} copiedLabel={m.common.copied} />
		</span>
	)
}

export function Trust() {
	const { m, format } = useI18n()
	const root = useRoot()
	const [platform, setPlatform] = useState<Platform>(thisPlatform)
	if (root === undefined) return <Skeleton height={96} />
	if (root === null) return <p className={styles.intro}>{m.trust.none}</p>
	return (
		<Stack gap="sm">
			<div className={styles.actions}>
				<Button component="a" href="/static/local-root-ca.crt" download="start-tunnel-root-ca.crt" variant="default" leftSection={<IconDownload size={18} />}>
					{m.trust.download}
				</Button>
				{(platform === 'ios' || platform === 'macos') && (
					<Button component="a" href="/static/local-root-ca.mobileconfig" variant="default" leftSection={<IconDownload size={18} />}>
						{m.trust.profile}
					</Button>
				)}
			</div>
			<NativeSelect
				label={m.trust.platform}
				value={platform}
				onChange={(event) => setPlatform(event.currentTarget.value as Platform)}
				data={platforms.map((value) => ({ value, label: names[value] }))}
			/>
			<p className={styles.intro}>{m.trust[platform]}</p>
			<div>
				<div className={styles.sub}>{m.trust.fingerprint}</div>
				<Fingerprint value={root.fingerprint} />
				<p className={styles.intro}>{m.trust.compare} {fill(m.trust.validUntil, { date: format.date(root.notAfter) })}.</p>
			</div>
		</Stack>
	)
}
