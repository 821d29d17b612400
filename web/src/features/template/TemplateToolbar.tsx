import { makeStyles, tokens } from '@fluentui/react-components';
import { ArrowExportRegular } from '@fluentui/react-icons/svg/arrow-export';
import { PlayRegular } from '@fluentui/react-icons/svg/play';
import { StopRegular } from '@fluentui/react-icons/svg/stop';
import { useTranslation } from 'react-i18next';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import { exportReason, startReason, stopReason } from './reasons';
import type { Template } from './TemplatePage';
import { useTemplateCommands } from './useTemplateCommands';

const useStyles = makeStyles({
  bar: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS },
});

export interface TemplateToolbarProps {
  template: Template;
  onExport: () => void;
}

export function TemplateToolbar({ template, onExport }: TemplateToolbarProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { start, stop } = useTemplateCommands(template.lab);
  const sending = start.isPending || stop.isPending ? t('common.working') : undefined;
  const error = start.error ?? stop.error;
  return (
    <>
      <div className={styles.bar} role="group" aria-label={t('template.toolbar')}>
        <ReasonedButton
          icon={<PlayRegular />}
          reason={sending ?? startReason(t, template)}
          onClick={() => {
            stop.reset();
            start.mutate();
          }}
        >
          {t('template.start')}
        </ReasonedButton>
        <ReasonedButton
          icon={<StopRegular />}
          reason={sending ?? stopReason(t, template)}
          onClick={() => {
            start.reset();
            stop.mutate();
          }}
        >
          {t('template.stop')}
        </ReasonedButton>
        <ReasonedButton
          appearance="primary"
          icon={<ArrowExportRegular />}
          reason={sending ?? exportReason(t, template)}
          onClick={onExport}
        >
          {t('template.export')}
        </ReasonedButton>
      </div>
      {error !== null && <Problem error={error} />}
    </>
  );
}
