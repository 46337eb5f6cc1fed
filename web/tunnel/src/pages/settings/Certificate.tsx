// The certificate that browsers check, and how devices come to trust its root.

import { Alert, Button, Skeleton } from '@mantine/core'

import { openDialog } from '@shared/components/dialogs'
import { IconShield, IconWarning } from '@shared/icons'

import { useLive } from '../../app'
import { useI18n } from '../../i18n'
import { Card } from '../../parts/Page'
import { Fingerprint, Trust, useRoot } from '../../parts/Trust'
import { useCall } from '../../parts/useCall'
import { readCertificate } from './x509'
import styles from '../../styles/parts.module.css'

export function Certificate() {
	const { m, format } = useI18n()
	const root = useRoot()
	const warning = useLive((status) => status.web?.warning ?? null)
	const { value: chain } = useCall<string>('web.get-certificate')
	const leaf = chain ? readCertificate(chain) : null
	return (
		<Card title={m.settings.certificate} intro={m.settings.certificateIntro}>
			<div className={styles.cardBody}>
				{root === undefined ? <Skeleton height={80} /> : (
					<>
						<dl className={styles.facts}>
							{leaf && (
								<>
									<dt>{m.settings.subject}</dt>
									<dd>{leaf.names.join(', ') || m.common.none}</dd>
									<dt>{m.settings.issuer}</dt>
									<dd>{leaf.issuer ?? m.common.none}</dd>
									<dt>{m.settings.validUntil}</dt>
									<dd>{format.date(leaf.notAfter)}</dd>
								</>
							)}
							{root && (
								<>
									<dt>{m.settings.rootFingerprint}</dt>
									<dd><Fingerprint value={root.fingerprint} /></dd>
								</>
							)}
						</dl>
						{warning && <Alert color="orange" mt="md" icon={<IconWarning />}>{warning}</Alert>}
						<Button
							variant="default" mt="md" leftSection={<IconShield size={18} />}
							onClick={() => openDialog({ title: m.settings.howToTrust, body: () => <Trust /> })}
						>
							{m.settings.howToTrust}
						</Button>
					</>
				)}
			</div>
		</Card>
	)
}
