import { Badge, type BadgeProps } from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import type { OperationStatus } from '../../api/types';

const kColors: Record<OperationStatus, NonNullable<BadgeProps['color']>> = {
  NotStarted: 'informative',
  InProgress: 'brand',
  Succeeded: 'success',
  Failed: 'danger',
  Canceled: 'informative',
};

export function StatusBadge({ status }: { status: OperationStatus }) {
  const { t } = useTranslation();
  return (
    <Badge appearance="tint" size="large" color={kColors[status]}>
      {t(`operation.status.${status}`)}
    </Badge>
  );
}
