import { SearchRegular } from '@fluentui/react-icons/svg/search';
import { useTranslation } from 'react-i18next';
import { EmptyState } from '../ui/EmptyState';
import { LinkButton } from '../ui/LinkButton';
import { Page } from '../ui/Page';

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <Page title={t('notFound.title')}>
      <EmptyState icon={<SearchRegular />} title={t('notFound.heading')} text={t('notFound.text')}>
        <LinkButton to="/labs" appearance="primary">
          {t('nav.labs')}
        </LinkButton>
      </EmptyState>
    </Page>
  );
}
