import { makeStyles, tokens } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router';
import { ApiError } from '../../api/client';
import { labIdOf, parseId } from '../../api/ids';
import { labAccountQuery, labOperationsQuery, labQuery, templateVmQuery } from '../../api/queries';
import type { Lab, LabPlan, VirtualMachine } from '../../api/types';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { TextLink } from '../../ui/TextLink';
import { labTitle } from '../labs/lab';
import { labOperations, type LabOperations } from '../operations/useOperations';
import { ExportDialog } from './ExportDialog';
import { MachinePanel } from './MachinePanel';
import { FailedNotice, LastExport, RunningPanel } from './OperationPanels';
import { TemplateToolbar } from './TemplateToolbar';

const useStyles = makeStyles({
  column: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalL },
});

export interface Template {
  lab: Lab;
  /** null while the lab has no template VM yet. */
  vm: VirtualMachine | null;
  account: LabPlan | undefined;
  operations: LabOperations;
}

export function TemplatePage() {
  const { t } = useTranslation();
  const { subscription = '', group = '', lab: name = '' } = useParams();
  const labId = labIdOf(subscription, group, name);
  const lab = useQuery(labQuery(labId));
  const gone = lab.error instanceof ApiError && lab.error.status === 404; // deleted while it was looked at
  if (lab.data === undefined || gone) {
    return (
      <Page
        title={t('template.title')}
        breadcrumb={<TextLink to="/labs">{t('nav.labs')}</TextLink>}
      >
        {lab.error === null ? (
          <Waiting />
        ) : (
          <Problem error={lab.error} onRetry={() => void lab.refetch()} />
        )}
      </Page>
    );
  }
  return <TemplateOf key={labId} lab={lab.data} labId={labId} />;
}

function TemplateOf({ lab, labId }: { lab: Lab; labId: string }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const planId = lab.properties.labPlanId ?? '';
  const vm = useQuery(templateVmQuery(labId));
  const account = useQuery({ ...labAccountQuery(planId), enabled: planId !== '' });
  const known = useQuery(labOperationsQuery(labId));
  const operations = labOperations(known.data?.value ?? [], labId);
  const [exporting, setExporting] = useState(false);
  const template: Template = { lab, vm: vm.data ?? null, account: account.data, operations };
  const { running, lastExport, failed } = operations;
  return (
    <Page
      title={labTitle(lab)}
      subtitle={t('template.title')}
      breadcrumb={<TextLink to="/labs">{t('nav.labs')}</TextLink>}
    >
      <TemplateToolbar
        template={template}
        onExport={() => {
          setExporting(true);
        }}
      />
      <div className={styles.column}>
        {running !== undefined && <RunningPanel operation={running} subscription={parseId(labId).subscription} />}
        {failed !== undefined && <FailedNotice operation={failed} />}
        {lastExport !== undefined && lastExport !== running && (
          <LastExport operation={lastExport} />
        )}
        {known.error !== null && known.data === undefined && <Problem error={known.error} />}
        <MachinePanel template={template} />
      </div>
      {exporting && (
        <ExportDialog
          template={template}
          onClose={() => {
            setExporting(false);
          }}
        />
      )}
    </Page>
  );
}
